"""Choose the responses of an SFT dataset by their scores.

Inputs: the study's score rows and the corpus's splits. Outputs: chosen.parquet (every chosen response
with its rank), ledger.parquet (every other scored response with its reason) and a manifest.

    python workflow_scripts/select_responses.py --spec '{"stage": "sft", "corpus": "papers",
        "policy": "top_fraction", "fraction": 0.2, "min_answered": 0.9}' \
        --scores results/demo/scores/review_evaluations.jsonl --splits results/demo/corpus/papers/splits.parquet \
        --chosen chosen.parquet --ledger ledger.parquet --manifest choose.manifest.json
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from winnow.core.entry import run
from winnow.core.log import log
from winnow.core.manifest import Tally, write_manifest
from winnow.core.study import parse
from winnow.core.tables import CHOSEN_RESPONSES, LEDGER_RESPONSES, Row, write_table
from winnow.datasets.funnel import described
from winnow.datasets.scores import read_scores, read_splits
from winnow.datasets.select import POLICIES, SelectionJob, chosen_row, ledger


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="the dataset's settings and min_answered, as JSON")
    for name in ("scores", "splits", "chosen", "ledger", "manifest"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Choose, write both tables, then the manifest."""
    args = parse_args()
    spec = parse(SelectionJob, {"dataset": json.loads(args.spec)}, "--spec").dataset
    scores, splits = read_scores(args.scores, spec.corpus), read_splits(args.splits)
    choices = POLICIES[spec.policy](scores, splits, spec)
    tally = Tally()
    tally.read = len(scores)
    tally.kept = write_table(args.chosen, map(chosen_row, choices), CHOSEN_RESPONSES, ["response_id"])

    def counted() -> Iterator[Row]:
        for row in ledger(scores, splits, spec, choices):
            tally.drop(row["reason"])
            yield row

    write_table(args.ledger, counted(), LEDGER_RESPONSES, ["response_id"])
    by_split = dict(sorted(Counter(choice.split for choice in choices).items()))
    log(f"{described(tally.read, tally.dropped, 'scored responses')}; {tally.kept:,} chosen: {by_split}")
    write_manifest(
        args.manifest,
        step="select_responses",
        inputs={"scores": args.scores, "splits": args.splits},
        outputs={"chosen": args.chosen, "ledger": args.ledger},
        settings=spec.model_dump(mode="json"),
        counts={"responses": tally.as_dict()},
        software=["duckdb", "pyarrow"],
        chosen_by_split=by_split,
    )


if __name__ == "__main__":
    run(main, environment="data")
