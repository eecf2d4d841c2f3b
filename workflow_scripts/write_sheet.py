"""Write a sheet in which people answer the checklist about some responses, without seeing what the judge said.

Inputs: responses.parquet of every corpus, and the checklist. Output: a CSV file for any spreadsheet program, with a
row for each of `reliability.sheet_rows` responses and a column for each item, to be filled in with yes or no. Filled in
and named in `reliability.sheet`, gather_scores compares it with the judge.

    python workflow_scripts/write_sheet.py --spec '{"kind": "checklist", "checklist": "",
        "judge": {"backend": "lexical"}}' --checklist resources/checklists/iclr.yaml \
        --responses papers=results/demo/corpus/papers/responses.parquet --out sheet.csv
"""

import argparse
import json
from pathlib import Path

from winnow.core.config.signals import ChecklistSignal
from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.log import log
from winnow.core.named_paths import named_paths
from winnow.core.study import parse
from winnow.scoring.checklist import load_checklist
from winnow.scoring.sheet import write_sheet


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="the study's signal, in JSON")
    parser.add_argument("--checklist", type=Path, required=True)
    parser.add_argument("--responses", nargs="+", required=True, help="NAME=PATH, NAME being a corpus")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file")
    return parser.parse_args()


def main() -> None:
    """Draw and write."""
    args = parse_args()
    signal = parse(ChecklistSignal, json.loads(args.spec), "--spec")
    rows = signal.reliability.sheet_rows
    if not rows:
        raise WinnowError("signal.reliability.sheet_rows", "is 0: no sheet is asked for", "set how many rows it has")
    checklist = load_checklist(args.checklist)
    written = write_sheet(
        args.out, named_paths(args.responses, "--responses"), checklist, rows=rows, limit=signal.limit
    )
    log(f"{written} responses and {len(checklist.questions)} questions to {args.out}")


if __name__ == "__main__":
    run(main, environment="data")
