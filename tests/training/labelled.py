"""Labelled rows for trainers: a post is positive where it has one planted word, and its answer is Yes."""

import random
from pathlib import Path
from typing import Any

from training import fixtures
from winnow.core.config.models import Model, TinyModel
from winnow.core.config.runs import ResolvedRun
from winnow.core.tables import RENDERED_DPO, RENDERED_SFT, Row, write_table

ANSWERS = {"sarcastic": "Yes", "not_sarcastic": "No"}
PLANTED, OTHER = "clear", "proof"
LEARNS: dict[str, Any] = {
    "effective_batch_size": 16,
    "per_device_train_batch_size": 16,
    "per_device_eval_batch_size": 8,
    "max_steps": 40,
    "eval_steps": 5,
    "save_steps": 20,
    "learning_rate": 3.0e-3,
    "lr_scheduler_type": "constant",
}


def prompt(rng: random.Random, label: str) -> list[dict[str, str]]:
    """A post of three to six words."""
    plain = [word for word in fixtures.WORDS if word not in (PLANTED, OTHER)]
    words = [rng.choice(plain) for _ in range(rng.randint(2, 5))]
    words.insert(rng.randint(0, len(words)), PLANTED if label == "sarcastic" else OTHER)
    return [{"role": "user", "content": " ".join(words)}]


def said(word: str) -> list[dict[str, str]]:
    """A response."""
    return [{"role": "assistant", "content": word}]


def write_posts(folder: Path, name: str, count: int, positive: int) -> Path:
    """Write SFT rows, so many of them positive."""
    rng, rows = random.Random(f"{folder.name}{name}"), []
    for index in range(count):
        label = "sarcastic" if index < positive else "not_sarcastic"
        row: Row = dict.fromkeys(RENDERED_SFT.names)
        row |= {"prompt": prompt(rng, label), "completion": said(ANSWERS[label]), "response_id": f"{name}{index:03}"}
        rows.append(row)
    write_table(folder / f"{name}.parquet", rows, RENDERED_SFT, ["response_id"])
    return folder / f"{name}.parquet"


def write_pairs(folder: Path, name: str, count: int) -> Path:
    """Write pairs that all choose Yes, whatever the post says: a training on them ends with one answer to all."""
    rng, rows = random.Random(f"{folder.name}{name}"), []
    for index in range(count):
        row: Row = dict.fromkeys(RENDERED_DPO.names)
        row |= {"prompt": prompt(rng, "not_sarcastic"), "chosen": said("Yes"), "rejected": said("No")}
        rows.append(row | {"pair_id": f"{name}{index:03}"})
    write_table(folder / f"{name}.parquet", rows, RENDERED_DPO, ["pair_id"])
    return folder / f"{name}.parquet"


def scored(run: ResolvedRun) -> ResolvedRun:
    """Return a run that scores labels."""
    return run.model_copy(update={"answers": ANSWERS, "positive": "sarcastic"})


def make_model(folder: Path, texts: list[Path]) -> Path:
    """Build a tiny model for which the answers and the words that decide them are tokens."""
    from winnow.training.base_models import prepare_model

    words = (*ANSWERS.values(), PLANTED, OTHER)
    tiny = TinyModel(vocab_size=512, hidden_size=32, intermediate_size=64, words=words, initializer_range=0.2)
    prepare_model(Model(tiny=tiny), texts, folder)
    return folder
