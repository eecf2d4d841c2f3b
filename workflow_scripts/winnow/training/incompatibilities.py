"""Settings that do not go together, as a table: each row says when, why, and where TRL (or we) would trip over it.

Mine TRL's own `raise ValueError` and `logger.warning` lines at each upgrade; tests hold `TRL` to the pin.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winnow.core.config.runs import ResolvedRun
from winnow.core.files import read_json

TRL = "1.16.0"


@dataclass(frozen=True)
class Facts:
    """What the rows look at: a run and its recipe, where an absent key reads as its default."""

    run: ResolvedRun
    defaults: Mapping[str, Any]

    def get(self, key: str) -> Any:
        """Return a recipe key's value, or the default of the class that has it."""
        return self.run.recipe.get(key, self.defaults.get(key))

    def settings(self, key: str) -> Mapping[str, Any]:
        """Return the settings that a recipe key holds or names a file of; none where it is absent."""
        value = self.get(key)
        return dict(read_json(Path(value)) if isinstance(value, str) else value or {})

    @property
    def zero_stage(self) -> int:
        """DeepSpeed's ZeRO stage; 0 without DeepSpeed."""
        return int(self.settings("deepspeed").get("zero_optimization", {}).get("stage", 0))

    @property
    def images(self) -> bool:
        """Whether rows have images."""
        return self.run.modality != "clean"

    @property
    def losses(self) -> list[str]:
        """The DPO losses."""
        return list(self.get("loss_type") or ["sigmoid"])


@dataclass(frozen=True)
class Incompatibility:
    """A combination that cannot work, or works otherwise than it reads.

    Attributes:
        name: for tests and reports.
        stages: where it matters.
        applies: whether a run has it.
        message: what is wrong and what to change.
        source: file and line in TRL `TRL`, or the reason of ours.
    """

    name: str
    stages: tuple[str, ...]
    applies: Callable[[Facts], bool]
    message: str
    source: str


_BOTH, _SFT, _DPO = ("sft", "dpo"), ("sft",), ("dpo",)
_DECIDED_BY_RECIPE = (
    "train_batch_size",
    "train_micro_batch_size_per_gpu",
    "gradient_accumulation_steps",
    "gradient_clipping",
    "optimizer",
    "scheduler",
)

TABLE: tuple[Incompatibility, ...] = (
    Incompatibility(
        "images_precomputed_reference",
        _DPO,
        lambda facts: facts.images and bool(facts.get("precompute_ref_log_probs")),
        "precompute_ref_log_probs does not work with images: set it to false",
        "trl/trainer/dpo_trainer.py:764",
    ),
    Incompatibility(
        "images_packed",
        _SFT,
        lambda facts: facts.images and bool(facts.get("packing") or facts.get("padding_free")),
        "images cannot be packed: set packing and padding_free to false",
        "trl/trainer/sft_trainer.py:779",
    ),
    Incompatibility(
        "images_in_loss",
        _SFT,
        lambda facts: facts.images and facts.get("completion_only_loss") is False,
        "pieces of images would be trained as if they were words: set completion_only_loss to true",
        "trl/trainer/sft_trainer.py:500",
    ),
    Incompatibility(
        "adapter_beside_trained_tower",
        _BOTH,
        lambda facts: facts.images and bool(facts.get("use_peft")) and facts.get("freeze_vision_tower") is False,
        "an adapter trains language layers only: set freeze_vision_tower to true, or use_peft to false",
        "winnow/training/vision.py",
    ),
    Incompatibility(
        "packing_cuts",
        _SFT,
        lambda facts: bool(facts.get("packing")) and facts.get("packing_strategy") != "bfd",
        "only packing_strategy bfd keeps rows whole",
        "trl/data_utils.py:745",
    ),
    Incompatibility(
        "packing_shuffled",
        _SFT,
        lambda facts: bool(facts.get("packing") and facts.get("shuffle_dataset")),
        "shuffle_dataset would pack other rows together than the steps are counted for, and rows are shuffled each"
        " epoch anyway: set it to false",
        "trl/trainer/sft_trainer.py:1476",
    ),
    Incompatibility(
        "normalization_of_another_loss",
        _SFT,
        lambda facts: (
            facts.get("loss_normalization") != "token_global"
            and (facts.get("loss_type") != "nll" or bool(facts.get("label_smoothing_factor")))
        ),
        "loss_normalization other than token_global is of the plain log-likelihood: set loss_type to nll and"
        " label_smoothing_factor to 0",
        "winnow/training/trainers.py computes it from log-probabilities",
    ),
    Incompatibility(
        "constant_of_another_normalization",
        _SFT,
        lambda facts: facts.get("normalize_constant") != 1 and facts.get("loss_normalization") != "sequence",
        "normalize_constant is read with loss_normalization: sequence only: set it to 1",
        "winnow/numerics/losses.py",
    ),
    Incompatibility(
        "best_by_of_the_last",
        _BOTH,
        lambda facts: facts.get("best_by") is not None and facts.get("select") != "best",
        "best_by is read with select: best only: set one of them",
        "winnow/core/config/runs.py",
    ),
    Incompatibility(
        "best_of_shards",
        _BOTH,
        lambda facts: facts.get("select") == "best" and bool(facts.get("deepspeed") or facts.get("fsdp")),
        "the best step's weights cannot be loaded into a model that is divided over processes: set select to last",
        "winnow/training/fit.py loads them into the whole model",
    ),
    Incompatibility(
        "padding_free_preferences",
        _DPO,
        lambda facts: bool(facts.get("padding_free")),
        "TRL ignores padding_free here, with a warning: set it to false",
        "trl/trainer/dpo_trainer.py:733",
    ),
    Incompatibility(
        "adapter_on_head",
        _BOTH,
        lambda facts: bool(facts.get("use_peft")) and "lm_head" in (facts.get("lora_target_modules") or ()),
        "an adapter on lm_head would never be trained: remove it from lora_target_modules",
        "trl/trainer/sft_trainer.py:1066, trl/trainer/dpo_trainer.py:835",
    ),
    Incompatibility(
        "adapter_dropout_switched_off",
        _DPO,
        lambda facts: bool(facts.get("use_peft") and facts.get("disable_dropout")) and facts.get("lora_dropout") > 0,
        "lora_dropout has no effect while disable_dropout is on, as DPO has it: set one to 0 or the other to false",
        "trl/trainer/dpo_trainer.py:932",
    ),
    Incompatibility(
        "moving_reference",
        _DPO,
        lambda facts: bool(facts.get("sync_ref_model")),
        "a reference that moves is not saved in checkpoints, so a resumed run would go on with another one:"
        " set sync_ref_model to false",
        "trl/trainer/callbacks.py:116",
    ),
    Incompatibility(
        "smoothing_missing",
        _DPO,
        lambda facts: "exo_pair" in facts.losses and not facts.get("label_smoothing"),
        "exo_pair needs label_smoothing above 0, such as 1.0e-3",
        "trl/trainer/dpo_trainer.py:829",
    ),
    Incompatibility(
        "smoothing_too_large",
        _DPO,
        lambda facts: "robust" in facts.losses and not 0 <= facts.get("label_smoothing") < 0.5,
        "robust needs label_smoothing in [0, 0.5); TRL only warns",
        "trl/trainer/dpo_trainer.py:824",
    ),
    Incompatibility(
        "weighted_sorted_losses",
        _DPO,
        lambda facts: bool(facts.get("use_weighting")) and not {"aot", "aot_unpaired"}.isdisjoint(facts.losses),
        "use_weighting does not go with aot losses, which sort pairs",
        "trl/trainer/dpo_trainer.py:819",
    ),
    Incompatibility(
        "divergence_of_loss",
        _DPO,
        lambda facts: (
            facts.get("f_divergence_type") != "reverse_kl"
            and not set(facts.losses)
            <= {"sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop", "sft"}
        ),
        "f_divergence_type other than reverse_kl only goes with losses of the reward difference, such as sigmoid",
        "trl/trainer/dpo_trainer.py:811",
    ),
    Incompatibility(
        "half_precision_weights",
        _BOTH,
        lambda facts: not facts.get("use_peft") and not facts.get("deepspeed") and facts.get("dtype") != "float32",
        "small updates are lost when all weights are kept in half precision: set dtype to float32, and bf16 to true"
        " for speed",
        "AdamW keeps no float32 copy of the weights without DeepSpeed",
    ),
    Incompatibility(
        "flash_attention_on_cpu",
        _BOTH,
        lambda facts: not facts.run.gpu and str(facts.get("attn_implementation")).startswith("flash"),
        "FlashAttention needs a GPU: set attn_implementation to sdpa, or gpu above 0",
        "transformers",
    ),
    Incompatibility(
        "attention_from_the_hub",
        _BOTH,
        lambda facts: "/" in str(facts.get("attn_implementation")),
        "attn_implementation names a kernel on the hub, whose code would be fetched and run: use sdpa, or"
        " flash_attention_2 with its package installed",
        "transformers/integrations/hub_kernels.py:811",
    ),
    Incompatibility(
        "fsdp_on_cpu",
        _BOTH,
        lambda facts: bool(facts.get("fsdp")) and not facts.run.gpu,
        "FSDP needs GPUs: without them accelerate runs plain DDP instead, or leaves every process alone, and says"
        " nothing; use deepspeed or neither on a CPU",
        "accelerate/state.py 1.15.0, AcceleratorState",
    ),
    Incompatibility(
        "fsdp_alone",
        _BOTH,
        lambda facts: bool(facts.get("fsdp")) and facts.run.processes == 1,
        "FSDP spreads a model over several processes, and the run has one: set gpu above 1, or fsdp to false",
        "transformers/trainer.py 5.23.0, Trainer.__init__",
    ),
    Incompatibility(
        "fsdp_and_deepspeed",
        _BOTH,
        lambda facts: bool(facts.get("fsdp")) and bool(facts.get("deepspeed")),
        "fsdp and deepspeed both spread a model over processes: set one of them",
        "transformers/trainer.py 5.23.0, Trainer.__init__",
    ),
    Incompatibility(
        "fsdp_settings_unused",
        _BOTH,
        lambda facts: bool(facts.get("fsdp_config")) and not facts.get("fsdp"),
        "fsdp_config is ignored without fsdp: true",
        "transformers/training_args.py 5.23.0, _process_fsdp_args",
    ),
    Incompatibility(
        "fsdp_settings",
        _BOTH,
        lambda facts: (
            (facts.settings("fsdp_config").get("version", 2) != 2)
            or (facts.settings("fsdp_config").get("state_dict_type", "FULL_STATE_DICT") != "FULL_STATE_DICT")
            or bool(facts.settings("fsdp_config").get("cpu_ram_efficient_loading"))
        ),
        "fsdp_config must have version 2 and state_dict_type FULL_STATE_DICT, without cpu_ram_efficient_loading:"
        " only such checkpoints are known to resume",
        "winnow/training/checkpoints.py",
    ),
    Incompatibility(
        "deepspeed_in_bfloat16_on_cpu",
        _BOTH,
        lambda facts: bool(facts.get("deepspeed") and facts.get("bf16")) and not facts.run.gpu,
        "DeepSpeed does not compute in bfloat16 on a CPU: set bf16 to false",
        "deepspeed 0.19.8 refuses it",
    ),
    Incompatibility(
        "deepspeed_stage",
        _BOTH,
        lambda facts: bool(facts.get("deepspeed")) and facts.zero_stage not in (2, 3),
        "the file of deepspeed must have zero_optimization.stage 2 or 3: only such checkpoints are known to resume",
        "winnow/training/checkpoints.py",
    ),
    Incompatibility(
        "deepspeed_decides",
        _BOTH,
        lambda facts: any(facts.settings("deepspeed").get(key, "auto") != "auto" for key in _DECIDED_BY_RECIPE),
        "the file of deepspeed sets what the recipe decides (batch sizes, clipping, optimizer, scheduler): write auto"
        " there, and leave optimizer and scheduler out",
        "the effective batch is the recipe's",
    ),
    Incompatibility(
        "zero3_adapter_checkpointing",
        _BOTH,
        lambda facts: (
            facts.zero_stage == 3
            and bool(facts.get("use_peft") and facts.get("gradient_checkpointing"))
            and (facts.get("gradient_checkpointing_kwargs") or {}).get("use_reentrant") is False
        ),
        "an adapter under ZeRO-3 needs reentrant gradient checkpointing, and TRL sets it with a warning only:"
        " leave gradient_checkpointing_kwargs.use_reentrant out",
        "trl/trainer/sft_trainer.py:875, trl/trainer/dpo_trainer.py:699",
    ),
)


def incompatible(run: ResolvedRun, defaults: Mapping[str, Any]) -> list[str]:
    """Return the messages of all rows that apply to a run, each with its source."""
    facts = Facts(run, defaults)
    return [f"{row.message} ({row.source})" for row in TABLE if run.stage in row.stages and row.applies(facts)]
