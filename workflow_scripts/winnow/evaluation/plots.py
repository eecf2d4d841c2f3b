"""The comparison as pictures: likelihoods, differences of responses with verdicts, and decisions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from winnow.core.files import replacing
from winnow.evaluation.measured import TASKS
from winnow.evaluation.set_metrics import UNPARSED

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
    _save(figure, path)


def _lines(comparison: Mapping[str, Any], modality: str, decoding: str) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Return each run's differences: to its parent, to the base model where that is another, and to the reference."""
    found, reference = [], comparison["task"]["reference_title"]
    for row in comparison["responses"].get(modality, {}).get(decoding, {}).get("rows", []):
        if row["to_parent"] is not None:
            found.append((f"{row['run']} − {row['parent']}", row["stage"], row["to_parent"]))
        if row["to_base"] is not None and row["parent"] != f"base_{modality}":
            found.append((f"{row['run']} − base", row["stage"], row["to_base"]))
        if row.get("to_reference") is not None:
            found.append((f"{row['run']} − {reference}*", row["stage"], row["to_reference"]))
    return found


def _panels(comparison: Mapping[str, Any], part: str) -> list[tuple[str, str]]:
    """Return the modalities and decodings that a part of the comparison has, in its order."""
    return [(modality, decoding) for modality, tables in comparison[part].items() for decoding in tables]


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})


def _nothing(path: Path, words: str) -> None:
    """Write a picture that says why there is none."""
    figure = Figure(figsize=(5.2, 1.2), dpi=110, facecolor="white")
    figure.text(0.5, 0.5, words, ha="center", va="center", fontsize=10)
    _save(figure, path)


def draw_differences(comparison: Mapping[str, Any], path: Path) -> None:
    """Write a PNG with a forest plot of each primary metric: differences, intervals, and verdicts in words.

    Filled marks are differences that the family of tests shows, or for a star its own uncorrected test; the line at 0
    is no difference.
    """
    panels = [panel for panel in _panels(comparison, "responses") if _lines(comparison, *panel)]
    if not panels:
        _nothing(path, "no responses were generated")
        return
    names = comparison["family"]["metrics"]
    tallest = max(len(_lines(comparison, *panel)) for panel in panels)
    longest = max(len(label) for panel in panels for label, _, _ in _lines(comparison, *panel))
    size = (max(1.6, 0.075 * longest) + 3.0 * len(names), (1.2 + 0.4 * tallest) * len(panels))
    figure = Figure(figsize=size, dpi=110, layout="constrained", facecolor="white")
    grid = figure.subplots(len(panels), len(names), squeeze=False)
    for line, (modality, decoding) in zip(grid, panels, strict=True):
        rows = _lines(comparison, modality, decoding)
        for column, (axes, name) in enumerate(zip(line, names, strict=True)):
            _forest(axes, [(label, stage, found[name]) for label, stage, found in rows], labelled=column == 0)
            metric = comparison["metrics"][name]
            hint = {"higher": "→ better", "lower": "← better"}.get(metric["better"], "")
            axes.set_title(f"{metric['title']}\n{hint}".strip(), fontsize=9)
            if column == 0:
                axes.set_ylabel(f"{modality}: {comparison['task']['decodings'][decoding]}", fontsize=9)
    if any(label.endswith("*") for panel in panels for label, _, _ in _lines(comparison, *panel)):
        figure.supxlabel("* by a test of its own, not corrected for the number of tests", fontsize=8)
    _save(figure, path)


def _forest(axes: Axes, rows: Sequence[tuple[str, str, Mapping[str, Any]]], *, labelled: bool) -> None:
    """Draw one difference in each line, the first on top."""
    axes.axvline(0, color="#7a828e", linewidth=1)
    for height, (_, stage, entry) in enumerate(rows):
        if entry["value"] is None:
            continue
        colour, shown = COLOURS[stage], entry["verdict"] in {"better", "worse"}
        if entry["interval"] is not None:
            axes.plot(entry["interval"], [height, height], color=colour, linewidth=2, solid_capstyle="round")
        face = colour if shown else "white"
        axes.plot([entry["value"]], [height], "o", markerfacecolor=face, markeredgecolor=colour, markersize=6)
        if shown:
            axes.annotate(
                entry["verdict"], (entry["value"], height), (0, 6), textcoords="offset points", ha="center", fontsize=7
            )
    axes.set_yticks(range(len(rows)), [label for label, _, _ in rows] if labelled else [""] * len(rows), fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.7)
    axes.grid(axis="x", color="#d9dde3", linewidth=0.8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0, labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(4))


def draw_decisions(comparison: Mapping[str, Any], path: Path) -> None:
    """Write a PNG with the confusion matrix of the reference and of each run: what is so by what was answered."""
    task, panels = comparison["task"], _panels(comparison, "decisions")
    if not panels:
        _nothing(path, f"no held-out {task['item']} has a decision")
        return
    baseline = TASKS[task["name"]].reference_baseline
    tables = [comparison["decisions"][modality][decoding] for modality, decoding in panels]
    matrices = [{task["reference_title"]: table["baselines"][baseline], **table["rows"]} for table in tables]
    widest = max(map(len, matrices))
    figure = Figure(figsize=(2.5 * widest, 2.1 * len(panels)), dpi=110, layout="constrained", facecolor="white")
    grid = figure.subplots(len(panels), widest, squeeze=False)
    titles = task["class_titles"] | {UNPARSED: UNPARSED}
    for line, (modality, decoding), runs in zip(grid, panels, matrices, strict=True):
        for axes in line[len(runs) :]:
            axes.set_axis_off()
        for axes, (run, found) in zip(line, runs.items(), strict=False):
            _matrix(axes, found["confusion"], titles)
            axes.set_title(f"{modality}: {task['decodings'][decoding]}\n{run}", fontsize=8)
    _save(figure, path)


def _matrix(axes: Axes, confusion: Mapping[str, Mapping[str, int]], titles: Mapping[str, str]) -> None:
    """Draw counts, each cell as dark as its share of its row."""
    counts = [list(answers.values()) for answers in confusion.values()]
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for y, row in enumerate(counts):
        for x, count in enumerate(row):
            colour = "white" if shares[y][x] > 0.6 else "black"
            axes.text(x, y, str(count), ha="center", va="center", color=colour, fontsize=9)
    answers = [titles[answer].replace(" ", "\n") for answer in next(iter(confusion.values()))]
    axes.set_xticks(range(len(answers)), answers, fontsize=7)
    axes.set_yticks(range(len(counts)), [titles[decision] for decision in confusion], fontsize=7)
    axes.tick_params(length=0)
