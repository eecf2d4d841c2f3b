"""Validate one dataset in one modality from its source rows; training depends on the report.

Inputs: the rendered rows and what was left out, the chosen table and ledger, the corpus and its images, the score
rows, the checklist, the chosen tables of the other datasets of the corpus, the rows of the other modalities, and
the base model's tokenizer. Output: a report of every rule.
If one fails the script exits with 2, and the report lies beside its place as validation.failed.json too, since
Snakemake deletes the outputs of a failed job.

    python workflow_scripts/validate_dataset.py --spec "$SPEC" --stage sft --train train.parquet --val val.parquet \
        --left-out left_out.parquet --chosen chosen.parquet --ledger ledger.parquet --prompts prompts.parquet \
        --responses responses.parquet --splits splits.parquet --scores review_evaluations.jsonl \
        --checklist resources/checklists/iclr.yaml --others dpo=results/demo/datasets/dpo/chosen.parquet \
        --model results/demo/models/text --report validation.json
"""

import argparse
import json
from pathlib import Path

from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.files import write_json
from winnow.core.log import log
from winnow.core.named_paths import named_paths
from winnow.core.study import parse
from winnow.datasets.evidence import Paths, ValidationSpec
from winnow.datasets.validate import failed_rules, validate

TABLES = ("train", "val", "left_out", "chosen", "ledger", "prompts", "responses", "splits", "scores")


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="a ValidationSpec as JSON")
    parser.add_argument("--stage", choices=("sft", "dpo"), required=True)
    for name in (*TABLES, "model", "report"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True)
    parser.add_argument("--checklist", type=Path, help="the checklist; without one, responses are scored by labels")
    parser.add_argument("--images", type=Path, help="the corpus's images table; needed where images are shown")
    parser.add_argument("--others", nargs="+", default=[], metavar="NAME=CHOSEN")
    parser.add_argument("--generations", nargs="+", default=[], metavar="SPLIT=PATH", help="what a mined run said")
    parser.add_argument(
        "--modalities",
        nargs="+",
        default=[],
        metavar="MODALITY/FILE=PATH",
        help="train, val and left_out of every other modality that must have the same rows",
    )
    return parser.parse_args()


def main() -> None:
    """Validate, write the report, and fail if a rule does."""
    args = parse_args()
    spec = parse(ValidationSpec, json.loads(args.spec), "--spec")
    if spec.stage != args.stage:
        raise WinnowError("--stage", f"is {args.stage}, but the spec is of stage {spec.stage}", "make them equal")
    paths = Paths(
        **{name: getattr(args, name) for name in (*TABLES, "checklist", "images")},
        others=named_paths(args.others, "--others"),
        generations=named_paths(args.generations, "--generations"),
        modalities=named_paths(args.modalities, "--modalities"),
    )
    report = validate(spec, paths, args.model)
    kept = args.report.with_suffix(".failed.json")
    for rule in report["rules"]:
        log(f"{rule['status']:<14} {rule['id']:<4} {rule['name']} ({rule['checked']:,} checked)")
    write_json(args.report, report)
    if not report["ok"]:
        write_json(kept, report)
        failed = "\n  ".join(failed_rules(report))
        raise WinnowError(
            args.report.parent, f"rules fail; the report is {kept}\n  {failed}", "mend the cause and rerun"
        )
    kept.unlink(missing_ok=True)


if __name__ == "__main__":
    run(main, environment="train")
