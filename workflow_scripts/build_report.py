"""Write a study's report: one HTML file that opens offline and names the source of every number.

Inputs: the resolved study, its folder of results, and how the study's checklist was chosen, if it was.
Output: report.html. Files that are absent are listed at its head.

Example:
    python workflow_scripts/build_report.py --spec "$(cat results/demo/study.json)" \
        --results results/demo --out results/demo/report.html
"""

import argparse
import json
from pathlib import Path

from winnow.core.config.studies import ResolvedStudy
from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.files import write_text
from winnow.core.log import log
from winnow.core.study import parse


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="the resolved study, as JSON")
    parser.add_argument("--results", type=Path, required=True, help="results/<study>")
    parser.add_argument("--checklist-result", type=Path, help="optimal_checklist.json, where the study chose one")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Read, render and write."""
    args = parse_args()
    study = parse(ResolvedStudy, json.loads(args.spec), "--spec")
    if not args.results.is_dir():
        raise WinnowError(args.results, "there is no such folder", "build the study first")

    # Drawing and templates take a second to import: arguments are checked first.
    from winnow.reporting.page import render  # noqa: PLC0415
    from winnow.reporting.sources import Results  # noqa: PLC0415

    results = Results(args.results)
    page = render(results, study, args.checklist_result)
    write_text(args.out, page)
    log(f"{study.study}: {len(results.read)} files read, {len(results.missing)} absent, {len(page):,} characters")


if __name__ == "__main__":
    run(main, environment="report")
