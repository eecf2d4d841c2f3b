"""Generate one model's responses to held-out prompts: one greedy, and a few drawn ones.

Inputs: the base model's folder, the trained weights (without them the base model itself answers), the run's manifest to
check the weights against, rendered held-out responses, and the cache of what was generated before. Where the spec has
max_pixels and min_pixels, the table has images, which lie in cache/images. Outputs: generations.jsonl, one line per
response by the prompt's rank and the sample, and last its manifest. Killed at any point and started again, it goes on
from the last chunk of prompts and ends with the same bytes.

Example:
    python workflow_scripts/generate_responses.py --spec '{"run": "sft_clean", "generation": {"prompts": 4}}' \
        --model results/demo/models/text --weights checkpoints/demo/sft_clean/model \
        --run-manifest results/demo/runs/sft_clean/manifest.json \
        --heldout results/demo/evaluation/heldout/clean.parquet --cache cache/generations \
        --generations generations.jsonl --manifest generations.manifest.json
"""

import argparse
import json
from pathlib import Path

from winnow.core.config.base import SCHEDULING
from winnow.core.config.runs import GenerationJob
from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.files import replacing
from winnow.core.ids import canonical_json
from winnow.core.log import log
from winnow.core.manifest import Tally, write_manifest
from winnow.core.model_folder import identify_weights
from winnow.core.study import parse


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="run, generation, pixels, as JSON")
    parser.add_argument("--model", type=Path, required=True, help="folder of the prepared base model")
    parser.add_argument("--weights", type=Path, help="folder of trained weights; absent for the base model")
    parser.add_argument("--run-manifest", type=Path, help="names the weights' hashes; needed with --weights")
    parser.add_argument("--heldout", type=Path, required=True, help="rendered held-out responses")
    parser.add_argument("--cache", type=Path, required=True, help="folder of what was generated before")
    parser.add_argument("--generations", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    args = parser.parse_args()
    if (args.weights is None) != (args.run_manifest is None):
        raise WinnowError("--weights", "goes with --run-manifest, which says what the weights must be", "give both")
    return args


def _job(args: argparse.Namespace) -> GenerationJob:
    return parse(GenerationJob, json.loads(args.spec), "--spec")


def main() -> None:
    """Generate what the cache lacks, and write all of it."""
    args = parse_args()
    job = _job(args)
    settings = job.generation

    # The scientific libraries take seconds: the settings are checked first.
    from winnow.generation.backends import make_backend  # noqa: PLC0415 - as said above
    from winnow.generation.generate import generate, generations_key  # noqa: PLC0415 - as said above
    from winnow.generation.prompts import read_prompts  # noqa: PLC0415 - as said above
    from winnow.models.images import check_table  # noqa: PLC0415 - as said above
    from winnow.models.tokenizers import load_tokenizer  # noqa: PLC0415 - as said above

    weights = identify_weights(args.model, args.weights, args.run_manifest)
    check_table(args.heldout, shown=bool(job.pixels))
    prompts = read_prompts(args.heldout, load_tokenizer(args.model), settings.prompts, images=bool(job.pixels))
    longest = max((prompt.tokens for prompt in prompts), default=0)
    backend = make_backend(settings, args.model, args.weights, job.pixels, longest)
    key = generations_key(prompts, settings, weights, backend.identity)
    tally = Tally()
    with replacing(args.generations) as part, part.open("w", encoding="utf-8") as out:
        for row in generate(job.run, prompts, settings, backend, args.cache / key):
            out.write(canonical_json(row) + "\n")
            tally.read += 1
            tally.kept += 1
            tally.note(f"{row['decoding']}, ended by {row['stop_reason']}")
    write_manifest(
        args.manifest,
        step="generate_responses",
        inputs={"heldout": args.heldout},
        outputs={"generations": args.generations},
        settings=job.model_dump(mode="json", exclude={"generation": set(SCHEDULING)}),
        counts={"generations": tally.as_dict()},
        software=["torch", "transformers", "tokenizers", "vllm"],
        weights=weights,
        engine=dict(backend.identity),
        prompts=len(prompts),
    )
    log(f"{job.run}: {tally.kept:,} responses to {len(prompts):,} prompts")


def environment() -> str:
    """Return the kind of environment that the engine needs."""
    return "judge" if _job(parse_args()).generation.backend == "vllm" else "train"


if __name__ == "__main__":
    run(main, environment=environment)
