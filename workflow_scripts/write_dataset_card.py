"""Write the card of a dataset as one modality shows it, from the manifests of its study.

Inputs: the resolved study (--spec), its folder of results, dataset and modality. Output: the card (--out).

Example:
    python workflow_scripts/write_dataset_card.py --spec "$(cat results/demo/study.json)" --results results/demo \
        --dataset sft --modality clean --out results/demo/datasets/sft/clean/dataset_card.md
"""

import argparse
import json
from pathlib import Path

from winnow.core.config.studies import ResolvedStudy
from winnow.core.entry import run
from winnow.core.files import write_text
from winnow.core.study import parse
from winnow.reporting.cards import dataset_card
from winnow.reporting.sources import Results


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="the resolved study, as JSON")
    parser.add_argument("--results", type=Path, required=True, help="results/<study>")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--modality", required=True)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Write one card."""
    args = parse_args()
    study = parse(ResolvedStudy, json.loads(args.spec), "--spec")
    write_text(args.out, dataset_card(Results(args.results), study, args.dataset, args.modality))


if __name__ == "__main__":
    run(main, environment="report")
