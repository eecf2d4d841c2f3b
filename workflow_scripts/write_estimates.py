"""Write down what the runs of a study will take, from their preflight reports: one table, before anything is queued.

Inputs: preflight reports (--reports). Output: a Markdown table (--out), which is also printed.

Example:
    python workflow_scripts/write_estimates.py --reports results/demo/runs/*/preflight.json \
        --out results/demo/runs/estimates.md
"""

import argparse
from pathlib import Path

from winnow.core.entry import run
from winnow.core.files import read_json, write_text
from winnow.core.log import log
from winnow.training.estimate_table import estimate_table


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", required=True, nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    return parser.parse_args()


def main() -> None:
    """Write one table."""
    args = parse_args()
    table = estimate_table(read_json(report) for report in args.reports)
    write_text(args.out, "# What these runs will take\n\nConventions: docs/methods.md, Estimates.\n\n" + table)
    for line in table.splitlines():
        log(line)


if __name__ == "__main__":
    run(main, environment="train")
