"""Save a study's resolved settings beside its results, so that they can be read without this checkout.

Input: the resolved study as JSON. Output: the same as a readable file.

    python workflow_scripts/save_study.py --spec "$(cat resolved.json)" --out results/demo/study.json
"""

import argparse
import json
from pathlib import Path

from winnow.core.config.studies import ResolvedStudy
from winnow.core.entry import run
from winnow.core.files import write_json
from winnow.core.study import parse


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="a ResolvedStudy as JSON")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Check the settings once more and write them."""
    args = parse_args()
    study = parse(ResolvedStudy, json.loads(args.spec), "--spec")
    write_json(args.out, study.model_dump(mode="json"))


if __name__ == "__main__":
    run(main, environment="data")
