"""Which logged numbers of a training belong in one picture, and what a reader should compare them with."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from winnow.core.config.base import Stage
from winnow.core.config.runs import Guard, ResolvedRun

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
        guards: bounds that a line must keep for a measurement to count as an improvement; with them, what they bound.
    """

    title: str
    series: tuple[Series, ...]
    guide: tuple[float, str] | None = None
    guards: tuple[tuple[Guard, str], ...] = ()


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
# What is measured of labelled validation rows, as <metric>/<dataset>: a picture for each, a line for each dataset.
_LABELS: dict[str, tuple[str, tuple[float, str] | None]] = {
    "macro_f1": ("Macro-F1 (validation)", None),
    "predicted_positive_rate": ("Answers with the positive label (share, validation)", (1.0, "always positive")),
    "accuracy": ("Answered right (share, validation)", None),
    "f1_positive": ("F1 of the positive label (validation)", None),
    "margin": ("Margin of the right word (nats, validation)", (0.0, "both alike")),
}
LINES = 4  # in one picture, each in a colour of its own


def _of_labels(path: Path | None) -> list[Panel]:
    """Return the pictures of what was measured of labelled rows; none where nothing was."""
    datasets: dict[str, set[str]] = {}
    for row in _rows(path):
        for name in row if row["kind"] == "eval" else ():
            metric, _, dataset = name.partition("/")
            if metric in _LABELS and dataset:
                datasets.setdefault(metric, set()).add(dataset)
    panels = []
    for metric, (title, guide) in _LABELS.items():
        lines = [Series(f"{metric}/{dataset}", "eval", dataset) for dataset in sorted(datasets.get(metric, ()))]
        for start in range(0, len(lines), LINES):
            more = f", {start // LINES + 1}" if start else ""
            panels.append(Panel(f"{title}{more}", tuple(lines[start : start + LINES]), guide))
    return panels


def _guards(run: ResolvedRun) -> list[Guard]:
    """Return what early stopping and the choice of the best step are guarded by."""
    watched = [run.recipe.get(key) or {} for key in ("early_stopping", "best_by")]
    found = [Guard.model_validate(one["guard"]) for one in watched if one.get("guard")]
    return [guard for at, guard in enumerate(found) if guard not in found[:at]]


def _guarded(panel: Panel, guards: Sequence[Guard]) -> Panel:
    """Return a picture with the guards of its validation lines."""
    labels = {series.name: series.label for series in panel.series if series.kind == "eval"}
    own = tuple((guard, _in_words(guard, labels[guard.metric])) for guard in guards if guard.metric in labels)
    return replace(panel, guards=own)


def _in_words(guard: Guard, label: str) -> str:
    """Return what a guard asks of a line."""
    bounds = [
        f"{word} {bound:g}" for word, bound in (("at least", guard.min), ("at most", guard.max)) if bound is not None
    ]
    return f"guard of {label}: {', '.join(bounds)}"


def panels_of(run: ResolvedRun, path: Path | None = None) -> tuple[Panel, ...]:
    """Return what is drawn of a run; ln 2 is the start of the sigmoid loss alone.

    Args:
        run: resolved.
        path: its metrics.jsonl, which says of which labelled datasets rows were measured; None where there is none.
    """
    sigmoid = run.recipe.get("loss_type", ["sigmoid"]) == ["sigmoid"]
    loss, *others = _PANELS[run.stage]
    first = loss if sigmoid or loss.title != _LOSS else replace(loss, guide=None)
    return tuple(_guarded(panel, _guards(run)) for panel in (first, *_of_labels(path), *others))


Points = list[tuple[float, float]]


def _rows(path: Path | None) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of a metrics.jsonl."""
    if path is not None:
        with path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def read_series(path: Path, panels: Sequence[Panel]) -> dict[Series, Points]:
    """Return (step, value) of every series of `panels` that was logged, in the order of steps."""
    wanted = {series for panel in panels for series in panel.series}
    found: dict[Series, dict[float, float]] = {}
    for row in _rows(path):
        for series in wanted:
            value = row.get(series.name)
            if row["kind"] == series.kind and isinstance(value, int | float) and math.isfinite(value):
                # A resumed training may log a step twice; the later line is the one that counts.
                found.setdefault(series, {})[row["step"]] = float(value)
    return {series: sorted(points.items()) for series, points in found.items()}


def absent(panels: Sequence[Panel], logged: Mapping[Series, Points]) -> list[str]:
    """Return the titles of panels for which nothing was logged."""
    return [panel.title for panel in panels if not any(series in logged for series in panel.series)]
