"""A run's training file for LLaMA-Factory: the recipe's keys in its words, and what has no counterpart there.

Key names: src/llamafactory/hparams/{data,model,finetuning}_args.py at commit ff6d4d12, and those of
transformers' TrainingArguments, which it extends. An unknown key stops it.
"""

from collections.abc import Collection, Mapping
from typing import Any

import yaml

from winnow.core.config.models import Model
from winnow.core.config.runs import OWN_KEYS, ResolvedRun
from winnow.core.errors import WinnowError
from winnow.datasets.export_llama_factory import name_of
from winnow.datasets.export_tables import Pixels

TEMPLATES = {"clean": "qwen", "clean_images": "qwen2_vl", "vision": "qwen2_vl"}
ATTENTION = {"sdpa": "sdpa", "flash_attention_2": "fa2", "eager": "disabled"}
PREFERENCE_LOSSES = {"sigmoid", "hinge", "ipo"}

SAME_NAME = (
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "num_train_epochs",
    "learning_rate",
    "lr_scheduler_type",
    "optim",
    "weight_decay",
    "max_grad_norm",
    "bf16",
    "packing",
    "logging_steps",
    "eval_steps",
    "save_steps",
    "save_total_limit",
)
OTHER_NAME = {
    "lora_r": "lora_rank",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "beta": "pref_beta",
    "label_smoothing": "dpo_label_smoothing",
    "ld_alpha": "ld_alpha",
}
# Taken into account in a way of their own below.
TRANSLATED = {
    "effective_batch_size",
    "max_steps",
    "warmup_steps",
    "gradient_checkpointing",
    "attn_implementation",
    "use_peft",
    "completion_only_loss",
    "lora_target_modules",
    "loss_type",
    "deepspeed",  # said in the file's head: paths are the user's
}


def carried(key: str) -> bool:
    """Say whether a recipe's key has a counterpart."""
    return key in SAME_NAME or key in OTHER_NAME or key in TRANSLATED


def output_of(run: ResolvedRun) -> str:
    """Return the folder of a run's whole model: what the training writes, or for an adapter what the merge writes."""
    return f"saves/{run.name}-merged" if run.is_adapter else f"saves/{run.name}"


def base_of(name: str, model: Model) -> dict[str, Any]:
    """Return where a base model is: a hub name with its commit, a folder, or the tiny model of the study."""
    if model.name is not None:
        return {"model_name_or_path": model.name} | ({"model_revision": model.revision} if model.revision else {})
    return {"model_name_or_path": model.path or f"../../models/{name}"}


def start_of(run: ResolvedRun, runs: Mapping[str, ResolvedRun], models: Mapping[str, Model]) -> dict[str, Any]:
    """Return the model that a run starts from: its parent's, or the base."""
    if run.parent is not None:
        return {"model_name_or_path": output_of(runs[run.parent])}
    return base_of(run.model, models[run.model])


def accumulation(run: ResolvedRun) -> int:
    """Return how many batches make one step: effective / (GPUs * per device).

    Raises:
        WinnowError: if that is not a whole number.
    """
    at_once = max(run.gpu, 1) * int(run.recipe["per_device_train_batch_size"])
    steps, rest = divmod(int(run.recipe["effective_batch_size"]), at_once)
    if rest or not steps:
        raise WinnowError(
            f"run {run.name}, key effective_batch_size",
            f"{run.recipe['effective_batch_size']} is not a multiple of {at_once} examples at once",
            "change it, gpu, or per_device_train_batch_size",
        )
    return steps


def _method(run: ResolvedRun) -> dict[str, Any]:
    recipe = run.recipe
    method: dict[str, Any] = {"stage": run.stage, "do_train": True}
    method["finetuning_type"] = "lora" if run.is_adapter else "full"
    method |= {new: recipe[old] for old, new in OTHER_NAME.items() if old in recipe}
    if "lora_target_modules" in recipe:
        targets = recipe["lora_target_modules"]
        method["lora_target"] = targets if isinstance(targets, str) else ",".join(targets)
    if "loss_type" in recipe:
        losses = [recipe["loss_type"]] if isinstance(recipe["loss_type"], str) else list(recipe["loss_type"])
        if len(losses) != 1 or losses[0] not in PREFERENCE_LOSSES:
            raise WinnowError(f"run {run.name}, key loss_type", f"{losses} has no counterpart in LLaMA-Factory")
        method["pref_loss"] = losses[0]
    return method


def _training(run: ResolvedRun) -> dict[str, Any]:
    recipe = run.recipe
    training = {key: recipe[key] for key in SAME_NAME if key in recipe}
    training["gradient_accumulation_steps"] = accumulation(run)
    if recipe.get("max_steps", -1) > 0:
        training["max_steps"] = recipe["max_steps"]
    if (warmup := recipe.get("warmup_steps")) is not None:
        training["warmup_ratio" if warmup < 1 else "warmup_steps"] = warmup
    if "gradient_checkpointing" in recipe:
        training["disable_gradient_checkpointing"] = not recipe["gradient_checkpointing"]
    if recipe.get("attn_implementation") in ATTENTION:
        training["flash_attn"] = ATTENTION[recipe["attn_implementation"]]
    if recipe.get("packing"):
        training["neat_packing"] = True  # or packed rows see each other
    if "completion_only_loss" in recipe:
        training["train_on_prompt"] = not recipe["completion_only_loss"]
    return training | {"seed": run.seed, "save_strategy": "steps", "report_to": "none", "ddp_timeout": 180000000}


def settings_of(
    run: ResolvedRun,
    runs: Mapping[str, ResolvedRun],
    models: Mapping[str, Model],
    context: int,
    names: Collection[str],
    *,
    pixels: Pixels | None = None,
) -> dict[str, Any]:
    """Return a run's settings in LLaMA-Factory's keys.

    Args:
        run: the run.
        runs: all runs, by name.
        models: base models, by name.
        context: tokens that prompt and response may fill; with images, the longest row as LLaMA-Factory counts it.
        names: datasets that dataset_info.json registers.
        pixels: how large images are shown, in the modalities that show any.

    Raises:
        WinnowError: if LLaMA-Factory has no way to do what the recipe says.
    """
    train, val = (name_of(run.dataset, run.modality, split) for split in ("train", "val"))
    start = start_of(run, runs, models)
    settings = start | {"trust_remote_code": False} | _method(run)
    if run.stage == "dpo" and not run.is_adapter:
        # Said, not left to a default. With an adapter the reference is the model without it.
        settings["ref_model"] = start["model_name_or_path"]
    settings |= {"dataset": train, "dataset_dir": ".", "template": TEMPLATES[run.modality], "cutoff_len": context}
    if pixels is not None:
        settings |= {"image_max_pixels": pixels.max_pixels, "image_min_pixels": pixels.min_pixels}
    settings |= {"output_dir": f"saves/{run.name}"} | _training(run)
    if val in names:
        return settings | {"eval_dataset": val, "eval_strategy": "steps"}
    settings.pop("eval_steps", None)
    return settings


def merge_settings(run: ResolvedRun, runs: Mapping[str, ResolvedRun], models: Mapping[str, Model]) -> dict[str, Any]:
    """Return what `llamafactory-cli export` needs to merge an adapter, which runs after it start from."""
    return start_of(run, runs, models) | {
        "adapter_name_or_path": f"saves/{run.name}",
        "template": TEMPLATES[run.modality],
        "finetuning_type": "lora",
        "trust_remote_code": False,
        "export_dir": output_of(run),
    }


def as_yaml(settings: Mapping[str, Any], *comments: str) -> str:
    """Return settings as YAML under some comment lines."""
    head = "".join(f"# {line}\n" for line in comments)
    return head + yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True, width=1000)


def training_file(run: ResolvedRun, settings: Mapping[str, Any]) -> str:
    """Return a run's training file."""
    unset = OWN_KEYS[run.stage].defaults().items()
    left = sorted(key for key, value in run.recipe.items() if not carried(key) and (key, value) not in unset)
    shared = run.recipe.get("deepspeed")
    file = shared if isinstance(shared, str) else "the path of a ZeRO-3 file"
    return as_yaml(
        settings,
        f"Start it in this folder: llamafactory-cli train {run.name}.yaml",
        "Written for LLaMA-Factory; datasets are those of dataset_info.json here.",
        *([f"Of the recipe these keys have no counterpart: {', '.join(left)}."] if left else []),
        f"Batch: {max(run.gpu, 1)} device(s). On several GPUs add `deepspeed: {file}`, a path of your own.",
    )
