"""Recipes against the installed classes, and the table of what does not go together."""

import re
from pathlib import Path
from typing import Any

import pytest
import trl
import yaml

from training import fixtures
from winnow.core.config.runs import ResolvedRun
from winnow.core.entry import pins
from winnow.core.errors import WinnowError
from winnow.training import incompatibilities
from winnow.training.incompatibilities import TABLE, Facts, incompatible
from winnow.training.preflight import _defaults
from winnow.training.recipes import (
    MANAGED,
    adapter_config,
    config_class,
    read_recipe,
    recipe_problems,
    run_schedule,
    trainer_config,
)

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


def committed(file: Path) -> ResolvedRun:
    run = fixtures.make_run(file.name[:3])
    gpu = 0 if "tiny" in file.name else 8
    return run.model_copy(update={"recipe": yaml.safe_load(file.read_text()), "gpu": gpu, "processes": max(1, gpu)})


@pytest.mark.parametrize("file", RECIPES, ids=[file.stem for file in RECIPES])
def test_committed_recipes_are_right(file: Path) -> None:
    run = committed(file)
    assert recipe_problems(run) == []
    assert incompatible(run, _defaults(run.stage)) == []
    recipe = read_recipe(run)
    config = trainer_config(run, recipe, run_schedule(recipe, 842, 1), Path("unused"), cpu=True)
    assert (adapter_config(recipe) is not None) == ("lora" in file.name)
    for key, value in recipe.trainer.items():
        if key not in ("eval_steps", "save_steps", "save_total_limit", "fsdp_config"):  # the last becomes what it names
            assert getattr(config, key) == value, key


def test_published_settings() -> None:
    """The published settings: SFT lr 1e-5, 3 epochs; DPO lr 5e-6, 2 epochs, beta 0.1; effective batch 16, bf16."""
    found = {file.stem: committed(file).recipe for file in RECIPES}
    sft, dpo = found["sft_full"], found["dpo_full"]
    assert (sft["learning_rate"], sft["num_train_epochs"]) == (1e-5, 3)
    assert (dpo["learning_rate"], dpo["num_train_epochs"], dpo["beta"], dpo["loss_type"]) == (5e-6, 2, 0.1, ["sigmoid"])
    for recipe in (sft, dpo):
        assert recipe["effective_batch_size"] == 16
        assert (recipe["optim"], recipe["lr_scheduler_type"], recipe["bf16"]) == ("adamw_torch", "cosine", True)


@pytest.mark.parametrize(
    ("stage", "change", "message"),
    [
        (
            "sft",
            {"warmup_step": 3},
            "warmup_step: is no field of SFTConfig or ModelConfig, nor a key of ours; did you mean 'warmup_steps'",
        ),
        ("sft", {"beta": 0.1}, "recipe key beta: is no field of SFTConfig"),
        ("dpo", {"max_prompt_length": 5}, "recipe key max_prompt_length: is no field of DPOConfig"),
        ("sft", {"learning_rate": "1e-5"}, "write 1.0e-5 for a number"),  # what YAML makes of 1e-5
        ("sft", {"num_train_epochs": True}, "True is not float"),
        ("dpo", {"loss_type": "sigmoid"}, "'sigmoid' is not list"),
        ("sft", {"max_length": 1024}, "recipe key max_length: Winnow sets it (rows fit by rendering"),
        ("sft", {"output_dir": "x"}, "recipe key output_dir: Winnow sets it"),
        ("sft", {"seed": 4}, "recipe key seed: Winnow sets it (it is a key of the run)"),
        ("sft", {"report_to": "wandb"}, "recipe key report_to: Winnow sets it (trackers are named in config.yaml)"),
        ("sft", {"gradient_accumulation_steps": 2}, "Winnow sets it (it follows from effective_batch_size)"),
        ("sft", {"trust_remote_code": True}, "code from a model's folder is never run"),
        ("sft", {"load_best_model_at_end": True}, "Winnow sets it (give select and best_by"),
        ("sft", {"effective_batch_size": 0}, "recipe key effective_batch_size: 0: Input should be greater than"),
        ("sft", {"train_rows": "128"}, "recipe key train_rows: '128': Input should be a valid integer"),
        ("sft", {"loss_normalization": "token"}, "Input should be 'per_token', 'sequence' or 'token_global'"),
        ("dpo", {"loss_normalization": "per_token"}, "recipe key loss_normalization: is no field of DPOConfig"),
        ("sft", {"early_stopping": {"patient": 2}}, "recipe key early_stopping.patient: 2: Extra inputs"),
        ("sft", {"early_stopping": {"guard": {"metric": "x"}}}, "a guard needs min, max or both"),
        ("sft", {"select": "first"}, "recipe key select: 'first': Input should be 'last' or 'best'"),
    ],
)
def test_wrong_keys(stage: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(WinnowError, match=re.escape(message)):
        read_recipe(fixtures.make_run(stage, **change))


def test_absent_keys() -> None:
    run = fixtures.make_run("sft")
    without = {key: value for key, value in run.recipe.items() if key != "learning_rate"}
    assert recipe_problems(run.model_copy(update={"recipe": without})) == [
        "recipe key learning_rate: is required and absent"
    ]
    without = {key: value for key, value in run.recipe.items() if key != "effective_batch_size"}
    assert recipe_problems(run.model_copy(update={"recipe": without})) == [
        "recipe key effective_batch_size: is required and absent"
    ]


def test_values_that_trl_refuses() -> None:
    recipe = read_recipe(fixtures.make_run("sft", optim="adamw_nonsense"))
    run = fixtures.make_run("sft")
    with pytest.raises(WinnowError, match=r"TRL refuses it: .*adamw_nonsense"):
        trainer_config(run, recipe, run_schedule(recipe, 10, 1), Path("unused"), cpu=True)


def test_managed_keys_exist() -> None:
    """A key that TRL has dropped or renamed must leave the list too."""
    fields = {*trl.ModelConfig.__dataclass_fields__, *trl.SFTConfig.__dataclass_fields__}
    assert MANAGED.keys() <= fields | set(trl.DPOConfig.__dataclass_fields__)


PLANTED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # row of the table → stage, change of the recipe, change of the run
    "images_precomputed_reference": ("dpo", {"precompute_ref_log_probs": True}, {"modality": "vision"}),
    "images_packed": ("sft", {"packing": True}, {"modality": "clean_images"}),
    "packing_cuts": ("sft", {"packing": True, "packing_strategy": "wrapped"}, {}),
    "packing_shuffled": ("sft", {"packing": True, "shuffle_dataset": True}, {}),
    "normalization_of_another_loss": ("sft", {"loss_normalization": "per_token", "loss_type": "dft"}, {}),
    "constant_of_another_normalization": ("sft", {"normalize_constant": 42.0}, {}),
    "best_by_of_the_last": ("sft", {"best_by": {"metric": "loss"}}, {}),
    "best_of_shards": ("dpo", fixtures.ZERO3 | {"select": "best"}, {"gpu": 2, "processes": 2}),
    "padding_free_preferences": ("dpo", {"padding_free": True}, {}),
    "adapter_on_head": ("sft", {"use_peft": True, "lora_target_modules": ["q_proj", "lm_head"]}, {}),
    "adapter_dropout_switched_off": ("dpo", {"use_peft": True, "lora_dropout": 0.1}, {}),
    "moving_reference": ("dpo", {"sync_ref_model": True}, {}),
    "smoothing_missing": ("dpo", {"loss_type": ["exo_pair"]}, {}),
    "smoothing_too_large": ("dpo", {"loss_type": ["robust"], "label_smoothing": 0.5}, {}),
    "weighted_sorted_losses": ("dpo", {"loss_type": ["aot"], "use_weighting": True}, {}),
    "divergence_of_loss": ("dpo", {"loss_type": ["apo_zero"], "f_divergence_type": "js_divergence"}, {}),
    "half_precision_weights": ("sft", {"dtype": "bfloat16"}, {}),
    "flash_attention_on_cpu": ("sft", {"attn_implementation": "flash_attention_2"}, {}),
    "attention_from_the_hub": ("sft", {"attn_implementation": "kernels-community/flash-attn2"}, {}),
    "images_in_loss": ("sft", {"completion_only_loss": False}, {"modality": "vision"}),
    "adapter_beside_trained_tower": ("dpo", {"use_peft": True, "freeze_vision_tower": False}, {"modality": "vision"}),
    "fsdp_on_cpu": ("sft", fixtures.FSDP, {"processes": 2}),
    "fsdp_alone": ("sft", fixtures.FSDP, {"gpu": 1}),
    "fsdp_and_deepspeed": ("sft", fixtures.FSDP | fixtures.ZERO3, {"gpu": 2, "processes": 2}),
    "fsdp_settings_unused": ("sft", {"fsdp_config": {"version": 2}}, {}),
    "fsdp_settings": ("sft", {"fsdp": True, "fsdp_config": {"version": 1}}, {"gpu": 2, "processes": 2}),
    "deepspeed_in_bfloat16_on_cpu": ("sft", fixtures.ZERO3 | {"bf16": True}, {"processes": 2}),
    "deepspeed_stage": ("sft", {"deepspeed": {"zero_optimization": {"stage": 1}}}, {"gpu": 2, "processes": 2}),
    "deepspeed_decides": (
        "sft",
        {"deepspeed": {"zero_optimization": {"stage": 3}, "train_batch_size": 64}},
        {"gpu": 2, "processes": 2},
    ),
    "zero3_adapter_checkpointing": (
        "sft",
        fixtures.ZERO3
        | {"use_peft": True, "gradient_checkpointing": True}
        | {"gradient_checkpointing_kwargs": {"use_reentrant": False}},
        {"gpu": 2, "processes": 2},
    ),
}


@pytest.mark.parametrize("row", TABLE, ids=[row.name for row in TABLE])
def test_every_row_of_the_table_catches_its_fault(row: incompatibilities.Incompatibility) -> None:
    stage, recipe, change = PLANTED[row.name]
    faulty = fixtures.make_run(stage, **recipe).model_copy(update=change)
    sound = fixtures.make_run(stage)
    assert recipe_problems(faulty) == []
    assert stage in row.stages
    assert row.applies(Facts(faulty, _defaults(stage)))
    assert not row.applies(Facts(sound, _defaults(stage)))
    assert any(row.message in problem for problem in incompatible(faulty, _defaults(stage)))


def test_table_is_of_the_pinned_trl() -> None:
    """At an upgrade the rows and their lines must be read again."""
    assert incompatibilities.TRL == pins("train")["trl"] == trl.__version__


def test_source_lines_are_where_the_table_says() -> None:
    root = Path(trl.__file__).parents[1]
    for row in TABLE:
        for name, line in re.findall(r"(trl/[\w/]+\.py):(\d+)", row.source):
            there = (root / name).read_text().splitlines()[int(line) - 1]
            assert re.search(r"^\s+(if|raise)\b|^class ", there), (row.name, there)


def test_stages_have_their_class() -> None:
    assert (config_class("sft"), config_class("dpo")) == (trl.SFTConfig, trl.DPOConfig)
