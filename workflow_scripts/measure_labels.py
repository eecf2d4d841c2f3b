"""Measure every answer of the models of a labelled study, and those of a classifier that is no language model.

Inputs: the probabilities of the words that answer (rows.jsonl) and the generated responses of every run, and the
prompts and splits of the corpus that they answer. Outputs: measured.jsonl, one row per answer ordered by id, in the
columns of measure_responses.py, and a manifest that says how the baseline was made: TF-IDF and logistic regression
on the train split, C chosen on val.

Example:
    python workflow_scripts/measure_labels.py --spec '{"runs": {"base_clean": "clean", "sft_clean": "clean"},
        "answers": {"sarcastic": "Yes", "not_sarcastic": "No"}, "classes": ["sarcastic", "not_sarcastic"]}' \
        --generations base_clean=results/labels/evaluation/heldout/base_clean/generations.jsonl ... \
        --rows base_clean=results/labels/evaluation/heldout/base_clean/rows.jsonl ... \
        --prompts prompts.parquet --splits splits.parquet \
        --measured measured.jsonl --manifest measured.manifest.json
"""

import argparse
import json
from pathlib import Path

from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.files import write_text
from winnow.core.ids import canonical_json
from winnow.core.log import log
from winnow.core.manifest import Tally, write_manifest
from winnow.core.named_paths import named_paths
from winnow.core.study import parse
from winnow.evaluation.labels.measuring import REFERENCE, count_rows, measure_all
from winnow.evaluation.labels.prompts import check_heldout, read_labelled
from winnow.evaluation.labels.runs import check_alike, read_answered
from winnow.evaluation.labels.spec import MeasuringSpec

SOFTWARE = ["numpy", "pyarrow", "scikit-learn", "scipy"]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="runs with their modalities, and the answers, as JSON")
    for name in ("generations", "rows"):
        parser.add_argument(f"--{name}", nargs="+", required=True, metavar="RUN=PATH")
    for name in ("prompts", "splits"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="of the corpus whose prompts were answered")
    for name in ("measured", "manifest"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Read each source once, measure, and write the manifest last."""
    args = parse_args()
    spec = parse(MeasuringSpec, json.loads(args.spec), "--spec")
    generations, rows_of = named_paths(args.generations, "--generations"), named_paths(args.rows, "--rows")
    for option, paths in (("--generations", generations), ("--rows", rows_of)):
        if paths.keys() != spec.runs.keys():
            differing = ", ".join(sorted(paths.keys() ^ spec.runs.keys()))
            raise WinnowError(option, f"and the spec do not name the same runs: {differing}", "give one for every run")
    args.manifest.unlink(missing_ok=True)

    # scikit-learn takes a second: arguments are checked first.
    from winnow.evaluation.labels.baseline import fit_baseline  # noqa: PLC0415 - as said above

    prompts = read_labelled(args.prompts, args.splits)
    answered = {
        name: read_answered(name, modality, rows_of[name], generations[name], spec.classes)
        for name, modality in sorted(spec.runs.items())
    }
    check_alike(answered)
    for one in answered.values():
        check_heldout(one.rows, one.logps.keys(), prompts, spec.classes)
    asked = {name for one in answered.values() for name in one.logps}
    log(f"{len(answered):,} runs, {len(asked):,} held-out prompts")

    tally, used = Tally(), Tally()
    baseline = fit_baseline(prompts, asked, spec.classes, used)
    rows = measure_all(answered, baseline.probabilities, prompts, spec.answers)
    count_rows(rows, tally)
    write_text(args.measured, "".join(canonical_json(row) + "\n" for row in rows))
    write_manifest(
        args.manifest,
        step="measure_labels",
        inputs={"prompts": args.prompts, "splits": args.splits}
        | {f"generations/{name}": path for name, path in generations.items()}
        | {f"rows/{name}": path for name, path in rows_of.items()},
        outputs={"measured": args.measured},
        settings=spec.model_dump(mode="json"),
        counts={"answers": tally.as_dict(), "prompts_of_the_baseline": used.as_dict()},
        software=SOFTWARE,
        task="labels",
        classes=list(spec.classes),
        reference=REFERENCE,
        answers=spec.answers,
        baseline=dict(baseline.about),
    )
    log(f"{len(rows):,} rows; the baseline has C = {baseline.about['c']:g}")


if __name__ == "__main__":
    run(main, environment="report")
