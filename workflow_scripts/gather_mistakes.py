"""Gather what a run said to prompts, beside the right words for them: the responses that a mined dataset is made of.

Inputs: generations.jsonl of the train and of the val prompts, and the corpus's prompts and responses. Outputs:
responses.parquet in the columns of a corpus's responses (author_kind is model and source the run's name for what it
said), and its manifest, which counts right, wrong and unread answers, and equal ones, of which each is kept once.

Example:
    python workflow_scripts/gather_mistakes.py --spec '{"corpus": "tweets", "run": "sft_clean",
        "answers": {"sarcastic": "Yes", "not_sarcastic": "No"}}' \
        --generations train=train.generations.jsonl val=val.generations.jsonl --prompts prompts.parquet \
        --responses responses.parquet --out responses.parquet --manifest responses.manifest.json
"""

import argparse
import json
from itertools import chain
from pathlib import Path

from winnow.core.config.base import Name, Settings
from winnow.core.entry import run
from winnow.core.log import log
from winnow.core.manifest import Tally, write_manifest
from winnow.core.named_paths import named_paths
from winnow.core.study import parse
from winnow.core.tables import RESPONSES, write_table
from winnow.datasets.mistakes import labels_of, read_generations, right_words, said


class _Spec(Settings):
    corpus: Name
    run: str
    answers: dict[str, str]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="corpus, run and answers, as JSON")
    parser.add_argument("--generations", nargs="+", required=True, metavar="SPLIT=PATH", help="what the run said")
    parser.add_argument("--prompts", type=Path, required=True, help="prompts.parquet of the corpus")
    parser.add_argument("--responses", type=Path, required=True, help="responses.parquet of the corpus")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Read what was said, and write the table."""
    args = parse_args()
    spec = parse(_Spec, json.loads(args.spec), "--spec")
    paths = named_paths(args.generations, "--generations")
    labels, generations = labels_of(args.prompts), list(read_generations(list(paths.values())))
    asked, tallies = {row["prompt_id"] for row in generations}, {"right_words": Tally(), "generations": Tally()}
    right = list(right_words(args.responses, asked, labels, spec.answers, tallies["right_words"]))
    texts = {(row["prompt_id"], row["text"].strip()) for row in right}
    own = said(spec.run, generations, texts, labels=labels, answers=spec.answers, tally=tallies["generations"])
    count = write_table(args.out, chain(right, own), RESPONSES, ["response_id"])
    write_manifest(
        args.manifest,
        step="gather_mistakes",
        inputs={"prompts": args.prompts, "responses": args.responses}
        | {f"generations/{split}": path for split, path in paths.items()},
        outputs={"responses": args.out},
        settings=spec.model_dump(mode="json"),
        counts={name: tally.as_dict() for name, tally in tallies.items()},
        software=["pyarrow", "duckdb"],
    )
    log(f"{count:,} responses to {len(asked):,} prompts; of {spec.run}: {dict(tallies['generations'].notes)}")


if __name__ == "__main__":
    run(main, environment="data")
