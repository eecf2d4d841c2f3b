"""Judge one shard of a batch by a checklist.

Inputs: responses.parquet, a checklist, the model of a judge that has one, and the cache of earlier
judgements, to which new ones are added. Output: one JSON line per response of the shard, ordered by
response_id. It is there when it is whole. Killed at any point and started again, it goes on from the last
chunk; a second writer of the same shard waits for the first and then takes over what it judged.

    python workflow_scripts/judge_responses.py --spec '{"judge": {"backend": "lexical"}}' \
        --checklist resources/checklists/iclr.yaml \
        --responses results/demo/corpus/papers/responses.parquet --shard 0 --shards 1 \
        --cache cache/judge --out judged/corpus-papers/0-of-1.jsonl
"""

import argparse
import json
from pathlib import Path

from winnow.core.config.signals import VllmJudge
from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.files import replacing
from winnow.core.ids import canonical_json
from winnow.core.locks import held
from winnow.core.log import Progress, log
from winnow.core.manifest import Tally
from winnow.core.study import parse
from winnow.scoring.backends import make_judge
from winnow.scoring.batches import Batch, prompts_of_part
from winnow.scoring.cache import Cache, judge_key
from winnow.scoring.checklist import load_checklist
from winnow.scoring.injections import Injection, load_injections
from winnow.scoring.judging import judged_rows, planted
from winnow.scoring.shards import shard_rows, shard_size


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="the batch, in JSON")
    for name in ("checklist", "responses", "cache", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="folder of the judge's model, as prepare_model made it")
    parser.add_argument("--splits", type=Path, help="splits.parquet, for a batch of one part of train")
    parser.add_argument("--injections", type=Path, help="file of instructions to plant, for a batch that has them")
    parser.add_argument("--shard", type=int, required=True, help="which shard, from 0")
    parser.add_argument("--shards", type=int, required=True, help="how many there are")
    args = parser.parse_args()
    if not 0 <= args.shard < args.shards:
        raise WinnowError("--shard", f"is {args.shard}, of {args.shards}", "count from 0 to --shards - 1")
    return args


def _discard_leftovers(out: Path, part: Path) -> None:
    """Remove the half-written outputs of writers that were killed; the lock says that none of them lives."""
    for leftover in set(out.parent.glob(f".{out.name}.*.part")) - {part}:
        leftover.unlink()


def _batch(args: argparse.Namespace) -> Batch:
    return parse(Batch, json.loads(args.spec), "--spec")


def _injections(path: Path | None) -> tuple[Injection, ...]:
    if path is None:
        raise WinnowError("--injections", "is absent, and this batch plants them", "give resources/injections.yaml")
    return load_injections(path)


def main() -> None:
    """Judge the shard under its lock, and rename the rows in."""
    args = parse_args()
    batch = _batch(args)
    checklist, judge = load_checklist(args.checklist), make_judge(batch.judge, batch.variant, args.model)
    folder = args.cache / judge_key(judge.identity, checklist)
    # The batch is in the name so that two corpora, judged at the same time, do not wait for each other.
    name = f"{args.out.parent.name}-{args.shard}-of-{args.shards}.jsonl"
    tally = Tally()
    with held(folder / f"{name}.lock"), Cache(folder, name) as cache, replacing(args.out) as part:
        _discard_leftovers(args.out, part)
        log(f"{len(cache):,} judgements in {folder}")
        prompts = prompts_of_part(batch, args.splits)
        shard = (args.responses, args.shard, args.shards, batch.limit, prompts)
        rows, progress = shard_rows(*shard), Progress("judged", shard_size(*shard))
        if batch.injected:
            rows = planted(rows, _injections(args.injections))
        with part.open("w", encoding="utf-8") as out:
            for row in progress.over(judged_rows(rows, judge, checklist, cache, tally)):
                out.write(canonical_json(row) + "\n")
    now = tally.notes["judged now"]
    log(f"{tally.kept:,} rows to {args.out}: {now:,} judged now, {tally.kept - now:,} judged before")


def environment() -> str:
    """Return the kind of environment that the batch's judge needs."""
    return "judge" if isinstance(_batch(parse_args()).judge, VllmJudge) else "data"


if __name__ == "__main__":
    run(main, environment=environment)
