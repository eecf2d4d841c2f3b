"""Which logged numbers of a training belong in one picture, and what a reader should compare them with."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from winnow.core.config.base import Stage
from winnow.core.config.runs import ResolvedRun

LN2 = math.log(2)
_LOSS = "Loss (nats per pair)"


@dataclass(frozen=True)
class Series:
    """One line: a name in metrics.jsonl, on train or eval lines."""

    name: str
    kind: Literal["train", "eval"]
    label: str


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        title: what is drawn, with its unit.
        series: its lines; those without any logged value are left out, and named by `absent`.
        guide: a level to compare with, and what it means.
    """

    title: str
    series: tuple[Series, ...]
    guide: tuple[float, str] | None = None


def _both(name: str) -> tuple[Series, ...]:
    return (Series(name, "train", "train"), Series(name, "eval", "validation"))


_SFT = (
    Panel("Loss (nats per token)", _both("loss")),
    Panel("Tokens predicted right (share)", _both("mean_token_accuracy")),
    Panel("Entropy of predictions (nats)", _both("entropy")),
    Panel("Gradient norm", (Series("grad_norm", "train", "train"),)),
    Panel("Learning rate", (Series("learning_rate", "train", "train"),)),
)
_DPO = (
    Panel(_LOSS, _both("loss"), (LN2, "ln 2: no preference learnt yet")),
    Panel("Reward margin, chosen minus rejected (nats × beta)", _both("rewards/margins")),
    Panel("Pairs ranked right (share)", _both("rewards/accuracies"), (0.5, "chance")),
    Panel(
        "Gain over the reference (nats per token, validation)",
        (
            Series("delta_logp_chosen_per_token", "eval", "chosen"),
            Series("delta_logp_rejected_per_token", "eval", "rejected"),
        ),
        (-0.1, "alarm: chosen falls below"),
    ),
    Panel(
        "KL to the reference per token (nats)",
        (Series("kl_tok", "train", "train"), Series("kl_tok", "eval", "validation")),
    ),
    Panel(
        "KL to the reference per response (nats)",
        (Series("kl_seq", "train", "train"), Series("kl_seq", "eval", "validation")),
    ),
    Panel("Pairs won while the chosen side lost probability (share)", _both("displacement_rate"), (0.8, "alarm above")),
    Panel("Preference odds, exp(mean margin)", _both("reward_ratio"), (1.0, "at the start")),
    Panel("Entropy of responses (nats)", _both("response_entropy")),
    Panel("Gradient norm", (Series("grad_norm", "train", "train"),)),
    Panel("Learning rate", (Series("learning_rate", "train", "train"),)),
)
_PANELS: dict[Stage, tuple[Panel, ...]] = {"sft": _SFT, "dpo": _DPO}


def panels_of(run: ResolvedRun) -> tuple[Panel, ...]:
    """Return what is drawn of a run; ln 2 is the start of the sigmoid loss alone."""
    sigmoid = run.recipe.get("loss_type", ["sigmoid"]) == ["sigmoid"]
    return tuple(
        panel if sigmoid or panel.title != _LOSS else replace(panel, guide=None) for panel in _PANELS[run.stage]
    )


Points = list[tuple[float, float]]


def read_series(path: Path, panels: Sequence[Panel]) -> dict[Series, Points]:
    """Return (step, value) of every series of `panels` that was logged, in the order of steps."""
    wanted = {series for panel in panels for series in panel.series}
    found: dict[Series, dict[float, float]] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row: Mapping[str, Any] = json.loads(line)
            for series in wanted:
                value = row.get(series.name)
                if row["kind"] == series.kind and isinstance(value, int | float) and math.isfinite(value):
                    # A resumed training may log a step twice; the later line is the one that counts.
                    found.setdefault(series, {})[row["step"]] = float(value)
    return {series: sorted(points.items()) for series, points in found.items()}


def absent(panels: Sequence[Panel], logged: Mapping[Series, Points]) -> list[str]:
    """Return the titles of panels for which nothing was logged."""
    return [panel.title for panel in panels if not any(series in logged for series in panel.series)]
