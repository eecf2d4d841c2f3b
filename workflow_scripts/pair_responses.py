"""Pair a good with a poor response to the same prompt, for a DPO dataset.

Inputs: the study's score rows, the corpus's splits and responses (texts are read for the few pairs that
need them), for some policies its prompts, and where the overlap policy asks for it the chosen tables of SFT
datasets. Outputs: chosen.parquet (every pair with both margins), ledger.parquet (every other same-prompt pair with its
reason) and a manifest.

    python workflow_scripts/pair_responses.py --spec '{"stage": "dpo", "corpus": "papers",
        "policy": "contrastive", "min_answered": 0.9}' \
        --scores results/demo/scores/review_evaluations.jsonl --splits results/demo/corpus/papers/splits.parquet \
        --responses results/demo/corpus/papers/responses.parquet \
        --chosen chosen.parquet --ledger ledger.parquet --manifest choose.manifest.json
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from winnow.core.entry import run
from winnow.core.log import log
from winnow.core.manifest import Tally, write_manifest
from winnow.core.named_paths import named_paths
from winnow.core.study import parse
from winnow.core.tables import CHOSEN_PAIRS, LEDGER_PAIRS, read_rows, write_table
from winnow.datasets.funnel import described
from winnow.datasets.pair import Material, Taken, chosen_row, ledger
from winnow.datasets.pair_policies import POLICIES, PairingJob
from winnow.datasets.scores import read_scores, read_splits


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="the dataset's settings and min_answered, as JSON")
    for name in ("scores", "splits", "responses", "chosen", "ledger", "manifest"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, help="the corpus's prompts, for policies that read their labels")
    parser.add_argument("--sft", nargs="+", default=[], metavar="NAME=CHOSEN", help="SFT datasets to stay clear of")
    return parser.parse_args()


def taken_by(tables: Mapping[str, Path]) -> Taken:
    """Return what SFT datasets use."""
    rows = [row for path in tables.values() for row in read_rows(path, ["response_id", "prompt_id"])]
    return Taken(frozenset(row["response_id"] for row in rows), frozenset(row["prompt_id"] for row in rows))


def main() -> None:
    """Pair, write both tables, then the manifest."""
    args = parse_args()
    spec = parse(PairingJob, {"dataset": json.loads(args.spec)}, "--spec").dataset
    scores, splits = read_scores(args.scores, spec.corpus), read_splits(args.splits)
    sft = named_paths(args.sft, "--sft")
    material = Material(scores, splits, args.responses, taken_by(sft), args.prompts)
    pairing = POLICIES[spec.policy](material, spec)
    kept = pairing.ranking.kept
    rows = (chosen_row(pair, splits[pair.candidate.chosen.prompt_id]) for pair in kept)
    tally = Tally()
    tally.read, tally.dropped = pairing.read, pairing.dropped()
    tally.kept = write_table(args.chosen, rows, CHOSEN_PAIRS, ["pair_id"])
    write_table(args.ledger, ledger(pairing.refused, splits), LEDGER_PAIRS, ["chosen_id", "rejected_id"])
    by_split = dict(sorted(Counter(splits[pair.candidate.chosen.prompt_id] for pair in kept).items()))
    log(f"{described(tally.read, tally.dropped, 'same-prompt pairs')}; {tally.kept:,} chosen: {by_split}")
    write_manifest(
        args.manifest,
        step="pair_responses",
        inputs={"scores": args.scores, "splits": args.splits, "responses": args.responses}
        | ({} if args.prompts is None else {"prompts": args.prompts})
        | {f"sft/{name}": path for name, path in sft.items()},
        outputs={"chosen": args.chosen, "ledger": args.ledger},
        settings=spec.model_dump(mode="json"),
        counts={"pairs": tally.as_dict()},
        software=["duckdb", "pyarrow", "rapidfuzz"],
        chosen_by_split=by_split,
        **pairing.facts,
    )


if __name__ == "__main__":
    run(main, environment="data")
