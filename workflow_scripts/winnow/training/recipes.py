"""Reading a recipe: every key is a field of the installed TRL classes or of Winnow's own, with a value of its type."""

import dataclasses
import difflib
import json
import os
import typing
from functools import cache
from pathlib import Path
from typing import Any

import trl
from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from winnow.core.config.runs import OWN_KEYS, OwnKeys, ResolvedRun
from winnow.core.errors import WinnowError
from winnow.core.ids import canonical_json
from winnow.training.schedule import Schedule, schedule
from winnow.training.world import world_size

REQUIRED = ("per_device_train_batch_size", "num_train_epochs", "learning_rate", "eval_steps", "save_steps")

_PLACE = "outputs have one place, see docs/output.md"
_EVERY = "every step is logged"
_WHOLE = "rows fit by rendering (context) and are never cut"
_SELECT = "give select and best_by, keys of Winnow's own"
_SAFE = "code from a model's folder is never run"
_RESUME = "a run resumes by itself from its last complete checkpoint"
_HUB = "nothing is pushed to a hub"
_QUANTISED = "weights are not quantised"
MANAGED: dict[str, str] = {
    "accelerator_config": "how processes work together is not a recipe's business",
    "auto_find_batch_size": "it would change the effective batch",
    "average_tokens_across_devices": "the loss is the mean over all tokens of a step",
    "bnb_4bit_quant_storage": _QUANTISED,
    "bnb_4bit_quant_type": _QUANTISED,
    "chat_template_path": "the tokenizer's own chat template is the only one",
    "data_seed": "it is the run's seed",
    "dataset_kwargs": "rows are prepared by the datasets stage",
    "dataset_text_field": "rows are prepared by the datasets stage",
    "disable_tqdm": "progress goes to the log",
    "do_eval": "a run measures itself at eval_steps",
    "do_predict": "evaluation is a step of its own",
    "do_train": "a run trains",
    "enable_jit_checkpoint": "SIGTERM is handled at the end of a step, where resuming gives equal bits",
    "eos_token": "the tokenizer's own chat template says how a response ends",
    "eval_delay": "a run measures itself at its first step",
    "eval_on_start": "a run measures itself at its first step",
    "eval_packing": "validation rows are measured one by one",
    "eval_strategy": "a run measures itself at eval_steps",
    "full_determinism": "runs are deterministic",
    "gradient_accumulation_steps": "it follows from effective_batch_size",
    "greater_is_better": _SELECT,
    "hub_always_push": _HUB,
    "hub_model_id": _HUB,
    "hub_private_repo": _HUB,
    "hub_revision": _HUB,
    "hub_strategy": _HUB,
    "hub_token": _HUB,
    "ignore_data_skip": _RESUME,
    "load_best_model_at_end": _SELECT,
    "load_in_4bit": _QUANTISED,
    "load_in_8bit": _QUANTISED,
    "local_rank": "the launcher says it",
    "log_level": "the log has one form",
    "logging_first_step": _EVERY,
    "logging_nan_inf_filter": "a loss that is not a number stops the run",
    "logging_steps": _EVERY,
    "logging_strategy": _EVERY,
    "lora_task_type": "every model here is a causal language model",
    "max_length": _WHOLE,
    "metric_for_best_model": _SELECT,
    "model_init_kwargs": "give dtype and attn_implementation as keys of their own",
    "model_name_or_path": "the study names the model",
    "model_revision": "the study names the model's revision",
    "output_dir": _PLACE,
    "pad_token": "the tokenizer's own is used",
    "push_to_hub": _HUB,
    "remove_unused_columns": "TRL picks the columns it reads",
    "report_to": "trackers are named in config.yaml",
    "restore_callback_states_from_checkpoint": _RESUME,
    "resume_from_checkpoint": _RESUME,
    "run_name": "it is the run's name",
    "save_on_each_node": _PLACE,
    "save_only_model": "without the optimiser's state a run cannot resume",
    "save_strategy": "checkpoints are saved at save_steps",
    "seed": "it is a key of the run",
    "truncation_mode": _WHOLE,
    "trust_remote_code": _SAFE,
    "use_bnb_nested_quant": _QUANTISED,
    "use_cpu": "it follows from the run's key gpu",
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A recipe, sorted by who reads its keys."""

    trainer: dict[str, Any]
    model: dict[str, Any]
    own: OwnKeys

    @property
    def dtype(self) -> str:
        """The precision of the weights, float32 where the recipe does not say (as in TRL)."""
        return str(self.model.get("dtype", "float32"))


def config_class(stage: str) -> Any:
    """Return the installed class that holds a trainer's settings."""
    return {"sft": trl.SFTConfig, "dpo": trl.DPOConfig}[stage]


def _own_problems(run: ResolvedRun) -> list[str]:
    """Return what is wrong with the values of Winnow's own keys."""
    try:
        _own(run)
    except ValidationError as error:
        return [
            f"recipe key {'.'.join(map(str, mistake['loc']))}: "
            + ("is required and absent" if mistake["type"] == "missing" else f"{mistake['input']!r}: {mistake['msg']}")
            for mistake in error.errors()
        ]
    return []


def _own(run: ResolvedRun) -> OwnKeys:
    kind = OWN_KEYS[run.stage]
    given = {key: value for key, value in run.recipe.items() if key in kind.model_fields}
    return kind.model_validate_json(canonical_json(given), strict=True)


@cache
def _types(stage: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields of the trainer's settings and of the model's, each with its type."""
    found = []
    for settings in (config_class(stage), trl.ModelConfig):
        hints = typing.get_type_hints(settings)
        found.append({field.name: hints[field.name] for field in dataclasses.fields(settings) if field.init})
    # Annotated as text, which is deprecated: transformers/training_args.py 5.23.0, _apply_legacy_fsdp_to_config.
    found[0]["fsdp"] = bool | None
    return found[0], found[1]


def _wrong_type(kind: Any, value: Any) -> str | None:
    """Say what is wrong with a value's type, or None. YAML reads 1e-5 as text: that is caught here."""
    try:
        TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True, strict=True)).validate_python(value)
    except PydanticSchemaGenerationError:
        return None
    except ValidationError as error:
        hint = ", write 1.0e-5 for a number" if isinstance(value, str) and _is_number(value) else ""
        return f"{value!r} is not {getattr(kind, '__name__', kind)} ({error.errors()[0]['msg']}{hint})"
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def recipe_problems(run: ResolvedRun) -> list[str]:
    """Return every mistake in a run's recipe that can be seen without its data."""
    trainer, model = _types(run.stage)
    own = OWN_KEYS[run.stage].model_fields
    known = {**model, **trainer, **own}
    problems = _own_problems(run)
    for key, value in run.recipe.items():
        if key in own:
            continue
        if key in MANAGED and key in known:
            problems.append(f"recipe key {key}: Winnow sets it ({MANAGED[key]}); remove it")
        elif key not in known:
            near = difflib.get_close_matches(key, sorted(known.keys() - MANAGED.keys()), 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            owner = config_class(run.stage).__name__
            problems.append(f"recipe key {key}: is no field of {owner} or ModelConfig, nor a key of ours{hint}")
        elif (wrong := _wrong_type(known[key], value)) is not None:
            problems.append(f"recipe key {key}: {wrong}")
    problems += [f"recipe key {key}: is required and absent" for key in REQUIRED if key not in run.recipe]
    return problems + [f"recipe: {problem}" for name in run.recipe_files for problem in _file_problems(Path(name))]


def _file_problems(file: Path) -> list[str]:
    """Say what is wrong with a file that a recipe names."""
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return [f"{file}: there is no such file"]
    except ValueError as error:
        return [f"{file}: is not JSON: {error}"]
    return [] if isinstance(settings, dict) else [f"{file}: holds no keys with values"]


def read_recipe(run: ResolvedRun) -> Recipe:
    """Sort the keys of a run's recipe.

    Raises:
        WinnowError: listing every key that is unknown, managed by Winnow, missing or of a wrong type.
    """
    if problems := recipe_problems(run):
        raise WinnowError(f"run {run.name}", "; ".join(problems), "mend the recipe or the run's overrides")
    trainer, model = _types(run.stage)
    return Recipe(
        trainer={key: value for key, value in run.recipe.items() if key in trainer},
        model={key: value for key, value in run.recipe.items() if key in model and key not in trainer},
        own=_own(run),
    )


def sharing(recipe: Recipe) -> str:
    """Return how processes share the model: zero2, zero3, fsdp, or ddp, where each has it whole."""
    settings = recipe.trainer.get("deepspeed")
    if settings:
        if isinstance(settings, str):
            settings = json.loads(Path(settings).read_text(encoding="utf-8"))
        return "zero3" if settings.get("zero_optimization", {}).get("stage") == 3 else "zero2"
    return "fsdp" if recipe.trainer.get("fsdp") else "ddp"


def run_schedule(recipe: Recipe, rows: int, processes: int) -> Schedule:
    """Return the steps of a run with this recipe over `rows` rows, packed ones where it packs."""
    return schedule(
        rows,
        effective=recipe.own.effective_batch_size,
        processes=processes,
        per_device=recipe.trainer["per_device_train_batch_size"],
        epochs=recipe.trainer["num_train_epochs"],
        max_steps=recipe.trainer.get("max_steps", -1),
        eval_steps=recipe.trainer["eval_steps"],
        save_steps=recipe.trainer["save_steps"],
    )


def trainer_config(
    run: ResolvedRun, recipe: Recipe, steps: Schedule, folder: Path, trackers: tuple[str, ...] = (), *, cpu: bool
) -> Any:
    """Return TRL's settings of a run: the recipe's, and those that Winnow sets.

    Made before the model is loaded: under ZeRO-3 each process then loads its own part.

    Raises:
        WinnowError: if TRL refuses a value.
    """
    ours = {
        "output_dir": str(folder),
        "run_name": run.name,
        "seed": run.seed,
        "data_seed": run.seed,
        "gradient_accumulation_steps": steps.accumulation,
        "max_length": run.pack_to,  # rows are not cut: none is longer
        "eval_strategy": "steps",
        "eval_steps": steps.eval_steps,
        "save_strategy": "steps",
        "save_steps": steps.save_steps,
        "save_total_limit": None,  # checkpoints are removed once a newer one is complete, not before
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": list(trackers) or "none",
        "use_cpu": cpu,
        "dataloader_pin_memory": not cpu,
        "disable_tqdm": True,
    }
    if run.stage == "sft":
        ours["eval_packing"] = False
    if cpu and world_size() > 1:
        ours |= {"ddp_backend": "gloo"}
    if cpu and run.recipe.get("deepspeed") and "LOCAL_RANK" in os.environ:  # world.py has made the state
        ours |= {"use_cpu": False, "accelerator_config": {"use_configured_state": True}}
    try:
        return config_class(run.stage)(**(recipe.trainer | ours))
    except (ValueError, TypeError, ImportError) as error:
        raise WinnowError(f"run {run.name}, recipe", f"TRL refuses it: {error}", "change that key") from error


def adapter_config(recipe: Recipe) -> Any:
    """Return PEFT's settings of the adapter, or None for full fine-tuning."""
    return trl.get_peft_config(trl.ModelConfig(**recipe.model))
