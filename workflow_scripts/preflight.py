"""Check a run's settings against the installed trainers, its data and its model, before anything is queued.

Inputs: the resolved run as JSON (--spec), the folder of the base model, rendered rows, and the
dataset's validation report. Output: a report as JSON, with the run's steps; if anything is wrong the
report lists it all and the exit status is 2.

Example:
    python workflow_scripts/preflight.py --spec "$(cat spec.json)" --model models/text --train train.parquet \
        --val val.parquet --validation validation.json --report preflight.json
"""

import argparse
import json
from pathlib import Path

from winnow.core.config.runs import ResolvedRun
from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.files import write_json
from winnow.core.study import parse
from winnow.training.process import prepare_process


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="the resolved run, as JSON")
    parser.add_argument("--model", required=True, type=Path, help="folder of the base model")
    parser.add_argument("--train", required=True, type=Path)
    parser.add_argument("--val", required=True, type=Path)
    parser.add_argument("--validation", required=True, type=Path)
    parser.add_argument("--report", required=True, type=Path)
    return parser.parse_args()


def main() -> None:
    """Check one run."""
    args = parse_args()
    settings = parse(ResolvedRun, json.loads(args.spec), "--spec")
    prepare_process()
    from winnow.training.preflight import preflight  # noqa: PLC0415 - slow, so only for a spec that is right

    report = preflight(settings, model=args.model, train=args.train, val=args.val, validation=args.validation)
    write_json(args.report, report)
    if not report["ok"]:
        raise WinnowError(f"run {settings.name}", "; ".join(report["problems"]), "mend these and run it again")


if __name__ == "__main__":
    run(main, environment="train")
