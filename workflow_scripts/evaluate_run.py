"""Measure one model on held-out prompts: loss, preferences on validation pairs, and how sure it is of its responses.

Inputs: the base model's folder, the trained weights (without them the base model itself is measured),
the run's manifest to check the weights against, held-out responses, the model's own responses and DPO validation
tables. Where the spec has max_pixels and min_pixels, the tables have images, which lie in cache/images.
Where it has answers, as in a labelled study, the words that answer a prompt are scored too.
Outputs: rows.jsonl (one line per held-out response, generated response, pair and prompt with answers, for paired
comparisons) and, last, metrics.json.

Example:
    python workflow_scripts/evaluate_run.py --spec '{"run": "sft_clean", "seed": 0}' \
        --model results/demo/models/text --weights checkpoints/demo/sft_clean/model \
        --run-manifest results/demo/runs/sft_clean/manifest.json \
        --heldout results/demo/evaluation/heldout/clean.parquet \
        --generations results/demo/evaluation/heldout/sft_clean/generations.jsonl \
        --preferences dpo=results/demo/datasets/dpo/clean/val.parquet --rows rows.jsonl --metrics metrics.json
"""

import argparse
import json
from pathlib import Path
from typing import Any

from winnow.core.config.runs import Evaluation
from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.files import write_json, write_text
from winnow.core.ids import canonical_json, sha256_file
from winnow.core.log import log
from winnow.core.manifest import installed
from winnow.core.model_folder import verify_weights
from winnow.core.named_paths import named_paths
from winnow.core.study import parse

SOFTWARE = ["torch", "transformers", "tokenizers", "numpy"]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="Evaluation settings, run, seed, pixels, answers, as JSON")
    parser.add_argument("--model", type=Path, required=True, help="folder of the prepared base model")
    parser.add_argument("--weights", type=Path, help="folder of trained weights; absent for the base model")
    parser.add_argument("--run-manifest", type=Path, help="names the weights' hashes; needed with --weights")
    parser.add_argument("--heldout", type=Path, required=True, help="rendered held-out responses")
    parser.add_argument("--preferences", nargs="*", default=[], metavar="NAME=PATH", help="DPO validation tables")
    parser.add_argument("--generations", type=Path, required=True, help="of this model, by generate_responses.py")
    parser.add_argument("--rows", type=Path, help="one line per response and pair, for compare_runs.py")
    parser.add_argument("--metrics", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Measure and write."""
    args = parse_args()
    spec = json.loads(args.spec)
    name, seed = str(spec.pop("run")), int(spec.pop("seed"))
    pixels = {key: int(spec.pop(key)) for key in ("max_pixels", "min_pixels") if key in spec}
    answers: dict[str, str] = spec.pop("answers", {})
    if answers and pixels:
        raise WinnowError("--spec", "has answers and pixels: answers are scored for text alone", "leave one out")
    settings = parse(Evaluation, spec, "--spec")
    if (args.weights is None) != (args.run_manifest is None):
        raise WinnowError("--weights", "goes with --run-manifest, which says what the weights must be", "give both")
    preferences = named_paths(args.preferences, "--preferences")

    # The scientific libraries take seconds: the settings are checked first.
    from winnow.evaluation.measure import (  # noqa: PLC0415 - as said above
        joined_samples,
        measure_answers,
        measure_heldout,
        measure_preferences,
        measure_samples,
    )
    from winnow.evaluation.metrics import heldout_metrics, preference_metrics  # noqa: PLC0415 - as said above
    from winnow.models.images import check_table  # noqa: PLC0415 - as said above
    from winnow.models.inference import device_for, load_model  # noqa: PLC0415 - as said above
    from winnow.numerics.generations import summarize_generations  # noqa: PLC0415 - as said above

    weights = verify_weights(args.run_manifest, args.weights) if args.weights else None
    loaded = load_model(args.model, args.weights, device_for(settings.gpu), pixels)
    for table in (args.heldout, *preferences.values()):
        check_table(table, shown=bool(pixels))
    log(f"{name}: {loaded.device}, {loaded.dtype}")
    heldout = list(measure_heldout(loaded, args.heldout, settings.batch_size))
    pairs = {key: list(measure_preferences(loaded, path, settings.batch_size)) for key, path in preferences.items()}
    samples = list(measure_samples(loaded, args.heldout, args.generations, settings.batch_size))
    joined = joined_samples(args.generations, samples)
    answered = list(measure_answers(loaded, args.heldout, answers, settings.batch_size)) if answers else []

    if args.rows:
        lines = [{"kind": "heldout", **row} for row in heldout]
        lines += [{"kind": "sample", **row} for row in samples]
        lines += [{"kind": "preference", "dataset": key, **row} for key in sorted(pairs) for row in pairs[key]]
        lines += [{"kind": "label", **row} for row in answered]
        write_text(args.rows, "".join(canonical_json(row) + "\n" for row in lines))
    result: dict[str, Any] = {
        "run": name,
        "seed": seed,
        "heldout": heldout_metrics(heldout, seed),
        "preferences": {key: preference_metrics(rows) for key, rows in sorted(pairs.items())},
        # Greedy and drawn responses are never summed up together.
        "generations": summarize_generations([row for row in joined if row["decoding"] == "greedy"]),
        "generations_sampled": summarize_generations([row for row in joined if row["decoding"] == "sampled"]),
        "settings": settings.model_dump(mode="json", include={"batch_size"})
        | ({"answers": answers} if answers else {}),
        "precision": {"device": loaded.device, "dtype": loaded.dtype},
        "inputs": {"heldout": sha256_file(args.heldout), "generations": sha256_file(args.generations)}
        | {f"preferences/{key}": sha256_file(path) for key, path in sorted(preferences.items())},
        "weights": weights,
        "software": installed(SOFTWARE),
    }
    write_json(args.metrics, result)
    log(f"{name}: loss {result['heldout']['loss']} on {result['heldout']['n']} responses")


if __name__ == "__main__":
    run(main, environment="train")
