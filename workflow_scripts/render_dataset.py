"""Render a chosen dataset into what TRL reads: prompt and completion, or prompt, chosen and rejected.

Inputs: chosen.parquet, the corpus's prompts and responses, the score rows, and the folder of the base
model, whose tokenizer counts the tokens. Outputs: train.parquet and val.parquet, and a manifest with every
row that was dropped or cut. A body gives way to the budget, a response never: it is dropped with a reason.

    python workflow_scripts/render_dataset.py --spec '{"stage": "sft", "corpus": "papers",
        "prompt_fields": ["title", "abstract", "body"], "context": 1536, "response_tokens": 640}' \
        --chosen results/demo/datasets/sft/chosen.parquet --prompts results/demo/corpus/papers/prompts.parquet \
        --responses results/demo/corpus/papers/responses.parquet \
        --scores results/demo/scores/review_evaluations.jsonl --model results/demo/models/text \
        --train train.parquet --val val.parquet --manifest render.manifest.json
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.log import log
from winnow.core.manifest import Tally, write_manifest
from winnow.core.study import parse
from winnow.core.tables import RENDERED_DPO, RENDERED_SFT, Row, read_rows, write_table
from winnow.datasets.drafts import Renderer, dpo_row, fitted, read_drafts, response_ids, score_facts, sft_row
from winnow.datasets.funnel import described
from winnow.datasets.render import RenderSpec, load_tokenizer, tokenizer_files
from winnow.datasets.template import FOLDER, read_template
from winnow.datasets.text import control_pattern


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="stage, corpus, prompt_fields, context, response_tokens, as JSON")
    for name in ("chosen", "prompts", "responses", "scores", "model", "train", "val", "manifest"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Render train, then val, then write the manifest."""
    args = parse_args()
    spec = parse(RenderSpec, json.loads(args.spec), "--spec")
    chosen = list(read_rows(args.chosen))
    facts = score_facts(args.scores, spec.corpus, {name for row in chosen for name in response_ids(row)})
    renderer = Renderer(load_tokenizer(args.model), read_template(spec.template), spec)
    schema, key, make = (
        (RENDERED_SFT, "response_id", sft_row) if spec.stage == "sft" else (RENDERED_DPO, "pair_id", dpo_row)
    )
    pattern = control_pattern(renderer.chat.added_tokens)
    tallies = {}
    for split, out in (("train", args.train), ("val", args.val)):
        tally = tallies[split] = Tally()
        sources = [row for row in chosen if row["split"] == split]

        def rows(sources: list[Row] = sources, tally: Tally = tally) -> Iterator[Row]:
            drafts = read_drafts(sources, args.prompts, args.responses, pattern, tally)
            for row in fitted(renderer, drafts, tally):
                yield make(row, spec.corpus, facts)

        write_table(out, rows(), schema, [key])
        log(f"{split}: {described(tally.read, tally.dropped, 'chosen rows')}; {tally.kept:,} rendered")
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
        | tokenizer_files(args.model)
        | {"template": FOLDER / f"{spec.template}.yaml"},
        outputs={"train": args.train, "val": args.val},
        settings=spec.model_dump(mode="json"),
        counts={split: tally.as_dict() for split, tally in tallies.items()},
        software=["transformers", "tokenizers", "duckdb", "pyarrow"],
    )


if __name__ == "__main__":
    run(main, environment="train")
