"""Prepare the base model of a study: its tokenizer, its configuration, and where its weights are.

Inputs: the study's model as JSON (--spec); for a tiny model the tables whose text its tokenizer is
trained on (--texts). Outputs: a folder with tokenizer, config.json and model.json (--out), for a
tiny model with weights too; a manifest, written last.

Example:
    python workflow_scripts/prepare_model.py --spec '{"tiny": {"vocab_size": 2048}}' \
        --texts corpus/papers/prompts.parquet corpus/papers/responses.parquet --out models/text \
        --manifest models/text/manifest.json
"""

import argparse
import json
from pathlib import Path

from winnow.core.base_model import MODEL_FILE
from winnow.core.config.models import Model
from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.manifest import write_manifest
from winnow.core.study import parse
from winnow.training.process import prepare_process


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", required=True, help="the model, as JSON")
    parser.add_argument("--texts", nargs="*", type=Path, default=[], help="tables with text, for a tiny model")
    parser.add_argument("--out", required=True, type=Path, help="folder to make")
    parser.add_argument("--manifest", required=True, type=Path)
    return parser.parse_args()


def main() -> None:
    """Prepare one model."""
    args = parse_args()
    settings = parse(Model, json.loads(args.spec), "--spec")
    if settings.tiny is not None and not args.texts:
        raise WinnowError("--texts", "is empty, and a tiny model learns its tokenizer from text", "give tables")
    prepare_process()
    from winnow.training.base_models import prepare_model  # noqa: PLC0415 - slow, so only for a spec that is right

    facts = prepare_model(settings, args.texts, args.out)
    made = sorted(file for file in args.out.iterdir() if file != args.manifest and file.name != MODEL_FILE)
    write_manifest(
        args.manifest,
        step="prepare_model",
        inputs={f"texts_{index}": file for index, file in enumerate(args.texts)},
        outputs={file.name: file for file in made},
        settings=settings.model_dump(mode="json"),
        software=["torch", "transformers", "tokenizers", "safetensors", "huggingface_hub"],
        **facts,
    )


if __name__ == "__main__":
    run(main, environment="train")
