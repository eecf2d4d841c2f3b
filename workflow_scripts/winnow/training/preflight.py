"""Everything about a run that can be known to fail before a GPU is taken for it."""

import dataclasses
from pathlib import Path
from typing import Any

import trl

from winnow.core.base_model import BaseModel, read_base_model
from winnow.core.config.runs import ResolvedRun
from winnow.core.errors import WinnowError
from winnow.core.files import read_json
from winnow.core.manifest import installed
from winnow.core.tables import count_rows, read_rows
from winnow.models.processors import IMAGE_SETTINGS, SETTINGS_FILES
from winnow.training.incompatibilities import incompatible
from winnow.training.recipes import config_class, read_recipe, recipe_problems, run_schedule, trainer_config

_TOKENS = {"sft": ("completion_tokens",), "dpo": ("chosen_tokens", "rejected_tokens")}


def _defaults(stage: str) -> dict[str, Any]:
    """Return the default of every recipe key that has one."""
    found = {}
    for settings in (trl.ModelConfig, config_class(stage)):
        for field in dataclasses.fields(settings):
            if field.default is not dataclasses.MISSING:
                found[field.name] = field.default
            elif field.default_factory is not dataclasses.MISSING:
                found[field.name] = field.default_factory()
    return found


def _model_problems(model: Path, run: ResolvedRun) -> list[str]:
    """Return what is missing of the base model."""
    try:
        base: BaseModel = read_base_model(model)
    except WinnowError as error:
        return [str(error)]
    problems = [
        f"{model / name}: there is no such file"
        for name in ("config.json", "tokenizer.json")
        if not (model / name).is_file()
    ]
    if base.revision is None and not any(Path(base.source).glob("*.safetensors")):
        problems.append(f"{base.source}: holds no *.safetensors")
    if run.pixels:
        problems += _vision_problems(model)
    return problems


def _vision_problems(model: Path) -> list[str]:
    """Return why a model cannot be shown images."""
    config = read_json(model / "config.json") if (model / "config.json").is_file() else {}
    if "vision_config" not in config or config.get("model_type") != "qwen2_5_vl":
        return [f"{model}: sees no images, and the run's modality shows some; use a Qwen2.5-VL"]
    if not any((model / name).is_file() for name in SETTINGS_FILES):
        return [f"{model}: holds no {IMAGE_SETTINGS}; prepare the model again"]
    return []


def _row_problems(stage: str, train: Path, val: Path, model: Path) -> list[str]:
    """Return tables that are empty and rows that are longer than the model's positions."""
    problems = [
        f"{file}: has no rows; {use}, so change the dataset's thresholds or the splits"
        for file, use in ((train, "there is nothing to train on"), (val, "there is nothing to measure the run on"))
        if not count_rows(file)
    ]
    config = read_json(model / "config.json") if (model / "config.json").is_file() else {}
    limit = float((config.get("text_config") or config).get("max_position_embeddings") or "inf")
    for file in (train, val):
        longest = 0
        for row in read_rows(file, ["prompt_tokens", *_TOKENS[stage]]):
            longest = max(longest, (row["prompt_tokens"] or 0) + max(row[name] or 0 for name in _TOKENS[stage]))
        if longest > limit:
            problems.append(f"{file}: has a row of {longest} tokens, the model takes {limit:.0f}; lower the context")
    return problems


def _validation_problems(file: Path) -> list[str]:
    """Return why the dataset's validation does not allow training."""
    report = read_json(file)
    if not isinstance(report, dict) or report.get("ok") is not True:
        return [f"{file}: the dataset did not pass its validation; run the validation again and mend what it names"]
    return []


def preflight(run: ResolvedRun, *, model: Path, train: Path, val: Path, validation: Path) -> dict[str, Any]:
    """Return a report of a run: whether it can start, every problem, and its steps.

    Args:
        run: the resolved run.
        model: folder of the base model.
        train: rendered rows to train on.
        val: rendered rows to measure on.
        validation: the dataset's validation report.
    """
    problems = recipe_problems(run)
    if not problems:
        problems += incompatible(run, _defaults(run.stage))
    problems += (
        _model_problems(model, run) + _row_problems(run.stage, train, val, model) + _validation_problems(validation)
    )
    steps = None
    if not recipe_problems(run):
        recipe = read_recipe(run)
        try:
            steps = run_schedule(recipe, max(1, count_rows(train)), max(1, run.gpu))
            trainer_config(run, recipe, steps, Path("unused"), cpu=True)
        except WinnowError as error:
            problems.append(str(error))
    start = f"run {run.parent}" if run.parent else f"base model {run.model}"
    return {
        "run": run.name,
        "stage": run.stage,
        "ok": not problems,
        "problems": problems,
        "starts_from": start,
        "reference": start if run.stage == "dpo" else None,
        "rows": {"train": count_rows(train), "val": count_rows(val)},
        "steps": dataclasses.asdict(steps) if steps is not None else None,
        "software": installed(["torch", "transformers", "trl", "peft", "accelerate"]),
    }
