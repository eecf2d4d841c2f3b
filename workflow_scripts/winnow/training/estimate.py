"""What a run will take, told before it is queued: parameters, tokens, operations, memory, time and GPU hours.

Arithmetic on config.json, row lengths and recipe (docs/methods.md, Estimates). What cannot be known is null, with the
reason.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from winnow.core.config.runs import ResolvedRun
from winnow.core.config.studies import Gpus
from winnow.core.files import read_json
from winnow.training.architecture import Architecture
from winnow.training.memory import GIGABYTE, Layout, device_memory
from winnow.training.schedule import Schedule
from winnow.training.work import Plan, RowTokens, operations

PATCH_AREA = 14 * 14  # pixels; Qwen2.5-VL
_UNKNOWN_KIND = "config.json is of a model type whose parameters are not counted here (winnow/training/architecture.py)"
_UNKNOWN_ROWS = "rows do not say how many tokens they have"
_UNKNOWN_CPU = "it is a CPU's, whose speed is not assumed"
_UNKNOWN_GPU = "config.yaml does not say how fast the GPUs are (gpus.tflops)"


@dataclass(frozen=True)
class Subject:
    """What an estimate is of.

    Attributes:
        run: the resolved run.
        recipe: its keys, where an absent one has its default.
        sizes: of the model; None where they are not known.
        train: lengths of the rows to train on, None where they are not known; `val` likewise.
        steps: of the run.
        processes: how many train together.
        scored: dataset → lengths of the labelled rows whose answers are scored at every measurement.
    """

    run: ResolvedRun
    recipe: Mapping[str, Any]
    sizes: Architecture | None
    train: Sequence[RowTokens] | None
    val: Sequence[RowTokens] | None
    steps: Schedule
    processes: int
    scored: Mapping[str, Sequence[RowTokens]] = field(default_factory=dict)

    @property
    def adapter_targets(self) -> list[str]:
        """The names of the matrices that an adapter goes on."""
        targets = self.recipe.get("lora_target_modules") or ["q_proj", "v_proj"]  # PEFT's for Qwen2
        return [targets] if isinstance(targets, str) else list(targets)

    @property
    def trained(self) -> int:
        """How many parameters have gradients."""
        assert self.sizes is not None
        if self.run.is_adapter:
            return self.sizes.adapter_parameters(int(self.recipe["lora_r"]), self.adapter_targets)
        frozen = self.sizes.tower.parameters if self.sizes.tower is not None and not self.tower_trained else 0
        return self.sizes.parameters - frozen

    @property
    def tower_trained(self) -> bool:
        """Whether what sees images has gradients: no adapter goes there, and a recipe must ask for it."""
        return not self.run.is_adapter and self.recipe.get("freeze_vision_tower") is False

    @property
    def checkpointing(self) -> bool:
        """Whether layers are computed twice to save memory; the key has an old and a new name."""
        named = self.recipe.get("activation_checkpointing")
        return bool(self.recipe.get("gradient_checkpointing") if named is None else named)

    @property
    def bf16(self) -> bool:
        """Whether matrices are multiplied in bfloat16: in TRL also where the recipe does not say."""
        said = self.recipe.get("bf16")
        return not self.recipe.get("fp16") if said is None else bool(said)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max((max(row.sequences) for row in self.train or ()), default=0)

    @property
    def row(self) -> int:
        """Tokens of the longest row of a batch: a packed one is filled with several sequences."""
        return self.run.pack_to or self.longest

    @property
    def patches(self) -> int:
        """Patches of one image, at most; 0 without images."""
        return (self.run.max_pixels or 0) // PATCH_AREA


def divided_states(recipe: Mapping[str, Any]) -> str | None:
    """Return which states a recipe divides among processes: "optimiser", "gradients", "weights", or None for none."""
    settings = recipe.get("deepspeed")
    if settings:
        content = settings if isinstance(settings, dict) else read_json(Path(settings))
        stage = int((content.get("zero_optimization") or {}).get("stage", 0))
        return (None, "optimiser", "gradients", "weights")[stage]
    return "weights" if recipe.get("fsdp") else None


def layout_of(subject: Subject) -> Layout:
    """Return how a run lies in memory."""
    run, recipe = subject.run, subject.recipe
    deepspeed = bool(recipe.get("deepspeed")) and subject.bf16
    return Layout(
        devices=subject.processes,
        shared=divided_states(recipe),
        deepspeed=deepspeed,
        half_weights=recipe.get("dtype") in ("bfloat16", "float16"),
        bf16=subject.bf16,
        trained=subject.trained,
        adapter=run.is_adapter,
        checkpointing=subject.checkpointing,
        reference=run.stage == "dpo" and not run.is_adapter,
        tower_trained=subject.tower_trained,
    )


def memory(subject: Subject, layout: Layout, per_device: int) -> dict[str, float]:
    """Return the bytes on one device, by part, with the longest rows that there are in one batch."""
    assert subject.sizes is not None
    together = per_device * (2 if subject.run.stage == "dpo" else 1)
    images = max((row.images for row in subject.train or ()), default=0)
    return device_memory(subject.sizes, layout, together * subject.row, together * images * subject.patches)


def work(subject: Subject) -> dict[str, Any]:
    """Return the operations of a run."""
    run, recipe, steps = subject.run, subject.recipe, subject.steps
    assert subject.sizes is not None
    plan = Plan(
        passes=steps.total_steps / steps.steps_per_epoch,
        measurements=1 + math.ceil(steps.total_steps / steps.eval_steps),
        adapter=run.is_adapter,
        tower_trained=subject.tower_trained,
        checkpointing=subject.checkpointing,
        reference=run.stage == "dpo",
        precomputed=bool(recipe.get("precompute_ref_log_probs")),
        whole=recipe.get("completion_only_loss") is False,
        patches=subject.patches,
    )
    scored = [row for rows in subject.scored.values() for row in rows]
    return operations(subject.sizes, subject.train or (), subject.val or (), plan, scored)


def estimate(subject: Subject, gpus: Gpus) -> dict[str, Any]:
    """Return what a run will take, as JSON values.

    Time is operations by speed: gpus.mfu of gpus.tflops for each GPU. Loading, saving and sampling come on top.
    """
    run, sizes = subject.run, subject.sizes
    report: dict[str, Any] = dict.fromkeys(("parameters", "tokens", "flops", "memory_gb", "disk_gb", "seconds"))
    report |= {"gpu_hours": None, "gpus": run.gpu, "unknown": {}}
    if subject.train is not None:
        read = sum(sum(row.sequences) for row in subject.train)
        report["tokens"] = {"epoch": read, "longest": subject.longest}
    if sizes is None or subject.train is None or subject.val is None:
        report["unknown"]["everything else"] = _UNKNOWN_KIND if sizes is None else _UNKNOWN_ROWS
        return report
    found = work(subject)
    report |= {
        "parameters": {"total": sizes.parameters, "trained": subject.trained},
        "flops": {name: float(f"{value:.4g}") for name, value in found.items()},
        "memory_gb": {name: round(size / GIGABYTE, 3) for name, size in _memory_now(subject).items()},
        "disk_gb": round(_disk(subject) / GIGABYTE, 3),
    }
    if not run.gpu or gpus.tflops is None:
        report["unknown"]["time"] = _UNKNOWN_GPU if run.gpu else _UNKNOWN_CPU
        return report
    seconds = found["model"] / (run.gpu * gpus.tflops * 1e12 * gpus.mfu)
    report |= {"seconds": round(seconds), "gpu_hours": round(seconds * run.gpu / 3600, 2)}
    report["assumed"] = {"tflops": gpus.tflops, "mfu": gpus.mfu}
    return report


def _memory_now(subject: Subject) -> dict[str, float]:
    return memory(subject, layout_of(subject), int(subject.recipe["per_device_train_batch_size"]))


def _disk(subject: Subject) -> float:
    """Return the bytes of a run's checkpoints while it trains (12 per trained parameter) and of its finished model."""
    assert subject.sizes is not None
    kept = int(
        subject.recipe.get("save_total_limit") or math.ceil(subject.steps.total_steps / subject.steps.save_steps)
    )
    kept += subject.recipe.get("select") == "best"
    return 12.0 * subject.trained * (kept + 1) + float(layout_of(subject).weight_bytes * subject.sizes.parameters)


def memory_problems(subject: Subject, gpus: Gpus) -> list[str]:
    """Return why a run cannot fit the site's GPUs, with what would make it fit; nothing where that is not known."""
    if gpus.memory_gb is None or not subject.run.gpu or subject.sizes is None or subject.train is None:
        return []
    needed = _memory_now(subject)
    limit = gpus.memory_gb * GIGABYTE
    if needed["total"] <= limit:
        return []
    parts = ", ".join(
        f"{name} {size / GIGABYTE:.1f}" for name, size in needed.items() if name != "total" and size > 0.1 * GIGABYTE
    )
    cures = _cures(subject, limit)
    cure = f"it fits with {'; or '.join(cures)}" if cures else "use a smaller model, or lower the modality's context"
    return [
        f"needs about {needed['total'] / GIGABYTE:.0f} GB on each GPU ({parts}), and the site's have"
        f" {gpus.memory_gb:g} (config.yaml, key gpus.memory_gb); {cure}"
    ]


def _cures(subject: Subject, limit: float) -> list[str]:
    """Return the changes of a recipe that would each alone make a run fit, with the memory that it would need then."""
    assert subject.sizes is not None
    layout, per_device = layout_of(subject), int(subject.recipe["per_device_train_batch_size"])
    tried: list[tuple[str, Layout, int]] = []
    if not layout.checkpointing:
        tried.append(("gradient_checkpointing: true", replace(layout, checkpointing=True), per_device))
    if per_device > 1:
        tried.append(("per_device_train_batch_size: 1", layout, 1))
    for times in (1, 2, 4, 8, 16):
        divided = replace(layout, devices=layout.devices * times, shared="weights")
        name = f"ZeRO-3 (deepspeed) or FSDP over {divided.devices} GPUs"
        if divided != layout and memory(subject, divided, per_device)["total"] <= limit:
            tried.append((name, divided, per_device))
            break
    if not layout.adapter:
        adapter = replace(
            layout,
            trained=subject.sizes.adapter_parameters(16, ["q_proj", "k_proj", "v_proj", "o_proj"]),
            adapter=True,
            half_weights=True,
            reference=False,
            tower_trained=False,
        )
        tried.append(("a LoRA adapter (use_peft: true, dtype: bfloat16)", adapter, per_device))
    sizes = [(name, memory(subject, changed, rows)["total"]) for name, changed, rows in tried]
    return [f"{name} ({size / GIGABYTE:.0f} GB)" for name, size in sizes if size <= limit]
