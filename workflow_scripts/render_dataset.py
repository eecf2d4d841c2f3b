"""Render a chosen dataset into what TRL reads: prompt and completion, or prompt, chosen and rejected.

Inputs: chosen.parquet, the corpus's prompts and responses, the score rows, the folder of the base model,
whose tokenizer counts the tokens, and where images are shown the corpus's images table. Outputs: the rows that
fit, the ids of the others with their reasons, and a manifest. A body gives way to the budget, responses and
images never: the row is left out. align_modalities.py makes train.parquet and val.parquet of the rows.

    python workflow_scripts/render_dataset.py --spec '{"stage": "sft", "corpus": "papers",
        "prompt_fields": ["title", "abstract", "body"], "context": 1536, "response_tokens": 640}' \
        --chosen results/demo/datasets/sft/chosen.parquet --prompts results/demo/corpus/papers/prompts.parquet \
        --responses results/demo/corpus/papers/responses.parquet \
        --scores results/demo/scores/review_evaluations.jsonl --model results/demo/models/text \
        --rendered rendered.parquet --left-out left_out.parquet --manifest render.manifest.json
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.log import Progress, log
from winnow.core.manifest import Tally, write_manifest
from winnow.core.study import parse
from winnow.core.tables import LEFT_OUT, Row, read_rows, rendered_schema, write_table
from winnow.datasets.drafts import read_drafts, response_ids
from winnow.datasets.fitting import fitted, read_renderer
from winnow.datasets.funnel import described
from winnow.datasets.render import RenderSpec, tokenizer_files
from winnow.datasets.rows import dpo_row, score_facts, sft_row
from winnow.datasets.template import FOLDER
from winnow.datasets.text import control_pattern


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="stage, corpus, prompt_fields, context, response_tokens, as JSON")
    for name in ("chosen", "prompts", "responses", "scores", "model", "rendered", "left-out", "manifest"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--images", type=Path, help="the corpus's images table; needed where images are shown")
    return parser.parse_args()


def main() -> None:
    """Render train, then val, then write the manifest."""
    args = parse_args()
    spec = parse(RenderSpec, json.loads(args.spec), "--spec")
    chosen = list(read_rows(args.chosen))
    facts = score_facts(args.scores, spec.corpus, {name for row in chosen for name in response_ids(row)})
    renderer = read_renderer(args.model, spec, args.images)
    key, make = ("response_id", sft_row) if spec.stage == "sft" else ("pair_id", dpo_row)
    pattern = control_pattern(renderer.chat.added_tokens)
    tallies = {"train": Tally(), "val": Tally()}
    left_out: list[Row] = []
    progress = Progress("rows rendered", len(chosen))

    def rows() -> Iterator[Row]:
        for split, tally in tallies.items():
            sources = [row for row in chosen if row["split"] == split]
            drafts = read_drafts(sources, args.prompts, args.responses, pattern, tally)
            for row in fitted(renderer, progress.over(drafts), tally, left_out):
                yield make(row, spec.corpus, facts)
            log(f"{split}: {described(tally.read, tally.dropped, 'chosen rows')}; {tally.kept:,} rendered")

    write_table(args.rendered, rows(), rendered_schema(spec.stage, images=spec.images is not None), [key])
    write_table(args.left_out, left_out, LEFT_OUT, ["id"])
    if not tallies["train"].kept:
        raise WinnowError(
            args.chosen,
            f"no train row fits: {described(tallies['train'].read, tallies['train'].dropped, 'chosen rows')}",
            "raise context or response_tokens of the modality",
        )
    write_manifest(
        args.manifest,
        step="render_dataset",
        inputs={name: getattr(args, name) for name in ("chosen", "prompts", "responses", "scores")}
        | ({} if args.images is None else {"images": args.images})
        | tokenizer_files(args.model)
        | {"template": FOLDER / f"{spec.template}.yaml"},
        outputs={"rendered": args.rendered, "left_out": args.left_out},
        settings=spec.model_dump(mode="json", exclude_none=True),
        counts={split: tally.as_dict() for split, tally in tallies.items()},
        software=["transformers", "tokenizers", "duckdb", "pyarrow"],
    )


if __name__ == "__main__":
    run(main, environment="train")
