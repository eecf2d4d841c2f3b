"""Divide the prompts of a corpus into train, val and test, near-duplicates together, once and for all later steps.

Inputs: prompts.parquet. Outputs: splits.parquet and, last, the manifest with counts and shares.

Example:
    python workflow_scripts/split.py --prompts out/prompts.parquet --splits out/splits.parquet \
        --manifest out/splits.json --spec '{"splits": {"val": 0.1, "test": 0.1}, "near_duplicate_jaccard": 0.8,
        "near_duplicate_words": 18}'
"""

import argparse
import json
from pathlib import Path

from winnow.core.config.base import PositiveShare, Settings
from winnow.core.config.corpora import Splits
from winnow.core.entry import run
from winnow.core.manifest import write_manifest
from winnow.core.study import parse
from winnow.corpus.splits import split_prompts


class _Spec(Settings):
    splits: Splits
    near_duplicate_jaccard: PositiveShare
    near_duplicate_words: int


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="splits and near_duplicate_* of the corpus, in JSON")
    parser.add_argument("--prompts", required=True, type=Path, help="table of prompts")
    parser.add_argument("--splits", required=True, type=Path, help="where the table of splits goes")
    parser.add_argument("--manifest", required=True, type=Path, help="where the manifest goes")
    return parser.parse_args()


def main() -> None:
    """Write the table, then the manifest."""
    args = parse_args()
    spec = parse(_Spec, json.loads(args.spec), "--spec")
    alike = spec.near_duplicate_jaccard
    counts = split_prompts(args.prompts, spec.splits, alike, args.splits, spec.near_duplicate_words)
    write_manifest(
        args.manifest,
        step="split",
        inputs={"prompts": args.prompts},
        outputs={"splits": args.splits},
        settings=spec.model_dump(mode="json"),
        counts=counts,
        software=["pyarrow", "duckdb", "numpy"],
    )


if __name__ == "__main__":
    run(main, environment="data")
