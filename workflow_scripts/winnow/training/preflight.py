"""Everything about a run that can be known before a GPU is taken for it: what must fail, and what it will take."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import trl

from winnow.core.base_model import BaseModel, read_base_model
from winnow.core.config.base import Stage
from winnow.core.config.runs import OWN_KEYS, ResolvedRun
from winnow.core.config.studies import Gpus
from winnow.core.errors import WinnowError
from winnow.core.files import read_json
from winnow.core.manifest import installed
from winnow.core.tables import count_rows, read_rows
from winnow.models.processors import IMAGE_SETTINGS, SETTINGS_FILES
from winnow.training.architecture import Architecture, read_architecture
from winnow.training.data import first_rows
from winnow.training.estimate import Subject, estimate, memory_problems
from winnow.training.incompatibilities import incompatible
from winnow.training.labels import read_labelled
from winnow.training.packing import packed_rows
from winnow.training.recipes import config_class, read_recipe, recipe_problems, run_schedule, trainer_config
from winnow.training.schedule import Schedule
from winnow.training.selection import unscored_labels
from winnow.training.trainable import trainable_problems
from winnow.training.work import RowTokens

_TOKENS = {"sft": ("completion_tokens",), "dpo": ("chosen_tokens", "rejected_tokens")}


def _defaults(stage: Stage) -> dict[str, Any]:
    """Return the default of every recipe key that has one."""
    found = OWN_KEYS[stage].defaults()
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


def row_tokens(stage: str, file: Path) -> list[RowTokens] | None:
    """Return the lengths of a rendered table's rows, or None where a row does not say how long it is."""
    pictured = "images" in pq.read_schema(file).names
    found = []
    for row in read_rows(file, ["prompt_tokens", *_TOKENS[stage], *(["images"] if pictured else [])]):
        lengths = [row["prompt_tokens"], *(row[name] for name in _TOKENS[stage])]
        if None in lengths:
            return None
        found.append(RowTokens(lengths[0], tuple(lengths[1:]), len(row["images"] or ()) if pictured else 0))
    return found


def _row_problems(files: Mapping[Path, Sequence[RowTokens] | None], config: Mapping[str, Any]) -> list[str]:
    """Return tables that are empty and rows that are longer than the model's positions."""
    uses = ("there is nothing to train on", "there is nothing to measure the run on")
    problems = [
        f"{file}: has no rows; {use}, so change the dataset's thresholds or the splits"
        for file, use in zip(files, uses, strict=True)
        if not count_rows(file)
    ]
    limit = float((config.get("text_config") or config).get("max_position_embeddings") or "inf")
    for file, rows in files.items():
        longest = max((max(row.sequences) for row in rows or ()), default=0)
        if longest > limit:
            problems.append(f"{file}: has a row of {longest} tokens, the model takes {limit:.0f}; lower the context")
    return problems


def _adapter_problems(run: ResolvedRun, sizes: Architecture | None) -> list[str]:
    """Return names of an adapter's targets that no matrix of the model has: PEFT passes over them in silence."""
    targets = run.recipe.get("lora_target_modules")
    if not run.is_adapter or sizes is None or not isinstance(targets, list):
        return []
    known = {*sizes.linears, "all-linear"}  # never of what sees images
    return [
        f"recipe key lora_target_modules: {name!r} names no matrix of the model; use any of {', '.join(sizes.linears)}"
        for name in targets
        if name not in known
    ]


def _validation_problems(file: Path) -> list[str]:
    """Return why the dataset's validation does not allow training."""
    report = read_json(file)
    if not isinstance(report, dict) or report.get("ok") is not True:
        return [f"{file}: the dataset did not pass its validation; run the validation again and mend what it names"]
    return []


def _scored_rows(run: ResolvedRun, labels: Mapping[str, Path], problems: list[str]) -> dict[str, list[RowTokens]]:
    """Return dataset → lengths of the rows whose answers are scored, none of a dataset without rows; note why not."""
    try:
        scored = read_labelled(run, labels)
    except WinnowError as error:
        problems.append(str(error))
        return {}
    return {name: row_tokens("sft", labels[name]) or [] for name in scored}


def _schedule(
    run: ResolvedRun, train: Path, rows: Sequence[RowTokens] | None, problems: list[str]
) -> tuple[Schedule, Sequence[RowTokens] | None] | None:
    """Return the steps of a run whose recipe is right, and the rows that it takes; note why it cannot be."""
    try:
        recipe = read_recipe(run)
        chosen = first_rows(train, run.stage, recipe.own.train_rows)
        taken = None if rows is None else [rows[index] for index in chosen]
        count = len(chosen)
        if run.pack_to is not None:
            if taken is None:
                raise WinnowError(train, "has rows that do not say how long they are", "render again to pack them")
            count = packed_rows([max(row.sequences) for row in taken], run.pack_to)
        steps = run_schedule(recipe, max(1, count), run.processes)
        trainer_config(run, recipe, steps, Path("unused"), cpu=True)
    except WinnowError as error:
        problems.append(str(error))
        return None
    return steps, taken


def preflight(
    run: ResolvedRun,
    *,
    model: Path,
    train: Path,
    val: Path,
    validation: Path,
    gpus: Gpus | None = None,
    labels: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    """Return a report of a run: whether it can start, every problem, its steps, and what it will take.

    Args:
        run: the resolved run.
        model: folder of the base model.
        train: rendered rows to train on.
        val: rendered rows to measure on.
        validation: the dataset's validation report.
        gpus: the site's; None knows nothing of them.
        labels: dataset → rendered rows whose answers are scored while training.
    """
    gpus = gpus or Gpus()
    rows = {file: row_tokens(run.stage, file) for file in (train, val)}
    config = read_json(model / "config.json") if (model / "config.json").is_file() else {}
    sizes, defaults = read_architecture(config), _defaults(run.stage)
    problems = recipe_problems(run)
    sound = not problems
    if sound:
        problems += incompatible(run, defaults)
    problems += _model_problems(model, run) + _row_problems(rows, config) + _validation_problems(validation)
    scored = _scored_rows(run, labels or {}, problems)
    problems += unscored_labels(read_recipe(run).own, list(scored)) if sound else []
    planned = _schedule(run, train, rows[train], problems) if sound else None
    steps, told = None, None
    if planned is not None:
        steps, taken = planned
        subject = Subject(run, defaults | run.recipe, sizes, taken, rows[val], steps, run.processes, scored)
        problems += _adapter_problems(run, sizes) + memory_problems(subject, gpus)
        problems += trainable_problems(run, subject.trained) if sizes is not None else []
        told = estimate(subject, gpus)
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
        "estimate": told,
        "software": installed(["torch", "transformers", "trl", "peft", "accelerate"]),
    }
