"""Check a run's settings against the installed trainers, its data and its model, before anything is queued.

Inputs: the resolved run as JSON (--spec), the folder of the base model, rendered rows, those whose answers are scored
while training (--labels), the dataset's validation report, and what GPUs the site has (--gpus). Output: a report as
JSON, with the run's steps and an estimate of its memory and time; if anything is wrong the report lists it all and the
exit status is 2.

Example:
    python workflow_scripts/preflight.py --spec "$(cat spec.json)" --model models/text --train train.parquet \
        --val val.parquet --validation validation.json --report preflight.json
"""

import argparse
import json
from pathlib import Path

from winnow.core.config.runs import ResolvedRun
from winnow.core.config.studies import Gpus
from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.files import write_json
from winnow.core.log import log
from winnow.core.named_paths import named_paths
from winnow.core.study import parse
from winnow.training.estimate_table import estimate_lines
from winnow.training.process import prepare_process


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="the resolved run, as JSON")
    parser.add_argument("--model", required=True, type=Path, help="folder of the base model")
    parser.add_argument("--train", required=True, type=Path)
    parser.add_argument("--val", required=True, type=Path)
    parser.add_argument("--labels", nargs="*", default=[], help="DATASET=PATH: rendered rows whose answers are scored")
    parser.add_argument("--validation", required=True, type=Path)
    parser.add_argument("--gpus", default="{}", help="the site's GPUs, as JSON")
    parser.add_argument("--report", required=True, type=Path)
    return parser.parse_args()


def main() -> None:
    """Check one run."""
    args = parse_args()
    settings = parse(ResolvedRun, json.loads(args.spec), "--spec")
    gpus = parse(Gpus, json.loads(args.gpus), "--gpus")
    prepare_process()
    from winnow.training.preflight import preflight  # noqa: PLC0415 - slow, so only for a spec that is right

    report = preflight(
        settings,
        model=args.model,
        train=args.train,
        val=args.val,
        labels=named_paths(args.labels, "--labels"),
        validation=args.validation,
        gpus=gpus,
    )
    write_json(args.report, report)
    for line in estimate_lines(report):
        log(line)
    if not report["ok"]:
        raise WinnowError(f"run {settings.name}", "; ".join(report["problems"]), "mend these and run it again")


if __name__ == "__main__":
    run(main, environment="train")
