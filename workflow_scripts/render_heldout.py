"""Render the held-out rows on which every run of a study is measured, by the same path as its training rows.

Inputs: the corpus's prompts, responses and splits, the score rows, the folder of the base model, and where
images are shown the corpus's images table. Outputs: one table of rated human responses of the test split (of val
where test is empty), or with `choice: right` of those that the scores call right, drawn by a hash of their ids, the ids
of those that do not fit, and a manifest.
align_modalities.py makes the table that runs are measured on.

    python workflow_scripts/render_heldout.py --spec '{"corpus": "papers", "prompt_fields": ["title", "abstract"],
        "context": 1536, "response_tokens": 640, "max_loss_rows": 48}' \
        --prompts results/demo/corpus/papers/prompts.parquet --responses results/demo/corpus/papers/responses.parquet \
        --scores results/demo/scores/review_evaluations.jsonl --splits results/demo/corpus/papers/splits.parquet \
        --model results/demo/models/text --rendered heldout.rendered.parquet --left-out heldout.left_out.parquet \
        --manifest heldout.manifest.json
"""

import argparse
import json
from pathlib import Path

from winnow.core.entry import run
from winnow.core.log import Progress, log
from winnow.core.manifest import Tally, write_manifest
from winnow.core.study import parse
from winnow.core.tables import LEFT_OUT, Row, rendered_schema, write_table
from winnow.datasets.drafts import read_drafts
from winnow.datasets.fitting import fitted, read_renderer
from winnow.datasets.funnel import described
from winnow.datasets.heldout import draw_rated, draw_right
from winnow.datasets.render import HeldoutSpec, tokenizer_files
from winnow.datasets.rows import score_facts, sft_row
from winnow.datasets.scores import read_splits
from winnow.datasets.template import FOLDER
from winnow.datasets.text import control_pattern


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="corpus, prompt_fields, context, ..., max_loss_rows, as JSON")
    for name in ("prompts", "responses", "scores", "splits", "model", "rendered", "left-out", "manifest"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--images", type=Path, help="the corpus's images table; needed where images are shown")
    return parser.parse_args()


def main() -> None:
    """Draw, render, write the manifest."""
    args = parse_args()
    spec = parse(HeldoutSpec, json.loads(args.spec), "--spec")
    splits = read_splits(args.splits)
    if spec.choice == "right":
        heldout = draw_right(args.scores, spec.corpus, splits, spec.max_loss_rows)
    else:
        heldout = draw_rated(args.responses, splits, spec.max_loss_rows)
    facts = score_facts(args.scores, spec.corpus, {row["response_id"] for row in heldout.sources})
    renderer, tally = read_renderer(args.model, spec, args.images), Tally()
    left_out: list[Row] = []
    drafts = read_drafts(
        heldout.sources, args.prompts, args.responses, control_pattern(renderer.chat.added_tokens), tally
    )
    drafts = Progress("rows rendered", len(heldout.sources)).over(drafts)
    rows = (sft_row(row, spec.corpus, facts) for row in fitted(renderer, drafts, tally, left_out))
    write_table(args.rendered, rows, rendered_schema("sft", images=spec.images is not None), ["response_id"])
    write_table(args.left_out, left_out, LEFT_OUT, ["id"])
    log(
        f"{heldout.eligible:,} {spec.choice} responses in {heldout.split}; "
        f"{described(tally.read, tally.dropped, 'drawn')}; {tally.kept:,} rendered"
    )
    write_manifest(
        args.manifest,
        step="render_heldout",
        inputs={name: getattr(args, name) for name in ("prompts", "responses", "scores", "splits")}
        | ({} if args.images is None else {"images": args.images})
        | tokenizer_files(args.model)
        | {"template": FOLDER / f"{spec.template}.yaml"},
        outputs={"rendered": args.rendered, "left_out": args.left_out},
        settings=spec.model_dump(mode="json", exclude_none=True),
        counts={"rows": tally.as_dict()},
        software=["transformers", "tokenizers", "duckdb", "pyarrow"],
        split=heldout.split,
        author_kind=heldout.author_kind,
        eligible=heldout.eligible,
    )


if __name__ == "__main__":
    run(main, environment="train")
