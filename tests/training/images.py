"""Rows that show images: a tiny Qwen2.5-VL, small pictures in an image cache, and answers that only they decide."""

import hashlib
import io
import random
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from training import fixtures
from winnow.core.config.models import Model, TinyModel, TinyVision
from winnow.core.config.runs import ResolvedRun
from winnow.core.images import image_path
from winnow.core.tables import RENDERED_DPO_IMAGES, RENDERED_SFT_IMAGES, Row, write_table

PIXELS = {"max_pixels": 3136, "min_pixels": 196}  # 56 x 56: at most 4 tokens to an image
COLOURS = {"clear": "white", "weak": "black", "novel": "red", "unclear": "blue"}
SCHEMAS = {"sft": RENDERED_SFT_IMAGES, "dpo": RENDERED_DPO_IMAGES}
SIZES = ((56, 56), (84, 40), (30, 100), (28, 28))  # width and height; the second and third are scaled


def draw(root: Path, colour: str, size: tuple[int, int], mark: int) -> str:
    """Write a picture into the cache below `root`, and return its path relative to it."""
    image = Image.new("RGB", size, colour)
    ImageDraw.Draw(image).line((0, 0, mark % size[0], size[1]), fill="grey")
    content = io.BytesIO()
    image.save(content, "PNG")
    path = image_path(hashlib.sha256(content.getvalue()).hexdigest())
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content.getvalue())
    return path


def said(text: str) -> list[dict[str, Any]]:
    """Return content that is text."""
    return [{"type": "text", "text": text}]


def write_rows(root: Path, stage: str, train: int = 14, val: int = 5, table: str = "vision") -> tuple[Path, Path]:
    """Write rendered rows of a stage with one or two images each; the first image decides the answer's first word."""
    folder, schema = root / table / stage, SCHEMAS[stage]
    for name, count in (("train", train), ("val", val)):
        rng = random.Random(f"{name} images")
        rows = []
        for index in range(count):
            word = rng.choice(list(COLOURS))
            colours = [COLOURS[word], *(["green"] if index % 3 == 0 else [])]
            paths = [draw(root, colour, SIZES[(index + n) % 4], 3 * index + n) for n, colour in enumerate(colours)]
            user = [{"type": "image", "text": None} for _ in paths] + said(fixtures.sentence(rng, rng.randint(8, 20)))
            prompt = [{"role": "system", "content": said("Review.")}, {"role": "user", "content": user}]
            good = f"{word} and convincing {fixtures.sentence(rng, rng.randint(4, 14))}"
            poor = f"{rng.choice([w for w in COLOURS if w != word])} {fixtures.sentence(rng, rng.randint(2, 8))}"
            row: Row = dict.fromkeys(schema.names)
            row |= {"prompt": prompt, "images": paths, "prompt_id": f"{name}{index:03}", "split": name}
            row |= {"prompt_tokens_cut": 0}
            sides = {"completion": good} if stage == "sft" else {"chosen": good, "rejected": poor}
            row |= {side: [{"role": "assistant", "content": said(text)}] for side, text in sides.items()}
            rows.append(row | {"response_id" if stage == "sft" else "pair_id": f"{name}{index:03}"})
        write_table(folder / f"{name}.parquet", rows, schema, ["response_id" if stage == "sft" else "pair_id"])
    return folder / "train.parquet", folder / "val.parquet"


def make_model(folder: Path, texts: list[Path], **changes: Any) -> Path:
    """Build a tiny Qwen2.5-VL in `folder`; keyword arguments change its settings."""
    from winnow.training.base_models import prepare_model

    small = {"vocab_size": 512, "hidden_size": 32, "intermediate_size": 64, "max_position_embeddings": 1024}
    prepare_model(Model(tiny=TinyModel(vision=TinyVision(), **(small | changes))), texts, folder)
    return folder


def make_run(stage: str, **recipe: Any) -> ResolvedRun:
    """Return a run over these rows; keyword arguments change its recipe. All weights are trained, the tower's too."""
    if not recipe.get("use_peft"):
        recipe = {"freeze_vision_tower": False} | recipe
    run = fixtures.make_run(stage, **recipe)
    return run.model_copy(update={"name": f"{stage}_vision", "modality": "vision", "model": "vision", **PIXELS})
