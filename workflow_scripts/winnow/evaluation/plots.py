"""The comparison as a picture: each run's held-out loss and preference accuracy, with intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from winnow.core.files import replacing

COLOURS = {"base": "#7a828e", "sft": "#2f6fb7", "dpo": "#b4581a"}


def _dots(axes: Axes, rows: Sequence[Mapping[str, Any]], points: Sequence[tuple[float | None, Any]]) -> None:
    """Draw a value and its interval for each run, the first run on top."""
    for height, (row, (value, interval)) in enumerate(zip(rows, points, strict=True)):
        colour = COLOURS[row["stage"]]
        if interval is not None:
            axes.plot(interval, [height, height], color=colour, linewidth=2, solid_capstyle="round")
        if value is not None:
            axes.plot([value], [height], "o", color=colour, markersize=6)
    axes.set_yticks(range(len(rows)), [row["run"] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", color="#d9dde3", linewidth=0.8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)


def draw_comparison(comparison: Mapping[str, Any], path: Path) -> None:
    """Write a PNG with a row of panels for each modality. Equal numbers give equal bytes."""
    tables = comparison["modalities"]
    pairs = sorted({name for rows in tables.values() for row in rows for name in row["preferences"]})
    tallest = max(len(rows) for rows in tables.values())
    size = (5.2 * (1 + len(pairs)), (1.2 + 0.36 * tallest) * len(tables))
    figure = Figure(figsize=size, dpi=110, layout="constrained", facecolor="white")
    grid = figure.subplots(len(tables), 1 + len(pairs), squeeze=False)
    for line, (modality, rows) in zip(grid, tables.items(), strict=True):
        _dots(line[0], rows, [(row["heldout"]["loss"], row["heldout"]["loss_interval"]) for row in rows])
        line[0].set_title(f"{modality}: held-out loss (nats per token)", fontsize=10)
        for axes, name in zip(line[1:], pairs, strict=True):
            found = [row["preferences"].get(name, {}) for row in rows]
            _dots(axes, rows, [(pair.get("accuracy"), pair.get("interval")) for pair in found])
            chance = next((pair["length_only_accuracy"] for pair in found if pair), None)
            if chance is not None:
                axes.axvline(chance, color="#7a828e", linestyle=":", linewidth=1)
            axes.set_xlim(0, 1)
            axes.set_title(f"{modality}: prefers the chosen of {name} (dotted: by length alone)", fontsize=10)
    with replacing(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})
