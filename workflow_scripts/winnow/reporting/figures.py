"""Pictures with one look: as PNG files, and as SVG that takes its colours and fonts from the page it stands in."""

import io
import itertools
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from winnow.core.config.runs import Guard
from winnow.core.files import replacing
from winnow.reporting.panels import Panel, Points, Series
from winnow.reporting.scores import Band

# Placeholders that become the page's own colours in SVG; in a PNG they are what they say.
INK, FAINT, FIRST, SECOND, THIRD, FOURTH = "#1f2733", "#d5dae1", "#2f6fb7", "#b4581a", "#1d7548", "#7a4fb5"
_PAGE_COLOURS = {INK: "var(--ink)", FAINT: "var(--line)", FIRST: "var(--first)", SECOND: "var(--second)"}
_PAGE_COLOURS |= {THIRD: "var(--third)", FOURTH: "var(--fourth)"}
# The lines of one picture, in their order: colour, and its name in the style sheet.
_LINES = ((FIRST, "first"), (SECOND, "second"), (THIRD, "third"), (FOURTH, "fourth"))
_STYLE: Any = {  # matplotlib types the keys one by one
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "svg.fonttype": "none",
}


def draw_panel(axes: Axes, panel: Panel, logged: Mapping[Series, Points]) -> None:
    """Draw the lines of a panel; a single point gets a dot, since a line would not show."""
    for series, (colour, _) in zip(panel.series, _LINES, strict=False):
        if series not in logged:
            continue
        steps, values = zip(*logged[series], strict=True)
        marker = "o" if len(steps) <= 12 else ""
        axes.plot(steps, values, color=colour, linewidth=1.4, marker=marker, markersize=3, label=series.label)
    if panel.guide:
        axes.axhline(panel.guide[0], color=INK, linewidth=0.8, linestyle=(0, (2, 3)), label=panel.guide[1])
    for guard, words in panel.guards:
        _draw_guard(axes, guard, words)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.ticklabel_format(axis="y", scilimits=(-3, 5), useOffset=False)
    axes.set_xlabel("step")


def _draw_guard(axes: Axes, guard: Guard, words: str) -> None:
    """Shade what a guard allows; where it has one bound only, as far as the picture reaches."""
    low, high = axes.get_ylim()
    bounds = (low if guard.min is None else guard.min, high if guard.max is None else guard.max)
    axes.axhspan(*bounds, color=INK, alpha=0.09, linewidth=0, label=words)
    axes.set_ylim(min(low, *bounds), max(high, *bounds))


def draw_bars(axes: Axes, edges: Sequence[float], counts: Mapping[str, Sequence[int]]) -> None:
    """Draw a histogram; of two series the second stands before the first, as a part of it.

    Args:
        axes: where.
        edges: of the bins, one more than there are counts.
        counts: one series or two by label.
    """
    centres = [(low + high) / 2 for low, high in itertools.pairwise(edges)]
    widths = [0.86 * (high - low) for low, high in itertools.pairwise(edges)]
    for (label, values), colour in zip(counts.items(), (FIRST, SECOND), strict=False):
        axes.bar(centres, values, widths, color=colour, label=label)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    whole = all((low + high) / 2 == round((low + high) / 2) for low, high in itertools.pairwise(edges))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=whole))


def save_curves(path: Path, title: str, panels: Sequence[Panel], logged: Mapping[Series, Points]) -> None:
    """Write all panels of a training into one PNG. Equal numbers give equal bytes."""
    shown = [panel for panel in panels if any(series in logged for series in panel.series)]
    columns = min(3, max(1, len(shown)))
    lines = -(-max(1, len(shown)) // columns)
    with mpl.rc_context(_STYLE):
        size = (4.4 * columns, 3.0 * lines + 0.4)
        figure = Figure(figsize=size, dpi=110, layout="constrained", facecolor="white")
        figure.suptitle(title, fontsize=11, fontweight="bold")
        grid = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes, panel in zip(grid, shown, strict=False):
            axes.set_title(textwrap.fill(panel.title, 48))
            draw_panel(axes, panel, logged)
            of_datasets = any(series.label not in {"train", "validation"} for series in panel.series)
            if of_datasets or len(axes.lines) > 1:
                axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=3, handlelength=1.6)
        for axes in grid[len(shown) :]:
            axes.set_axis_off()
        with replacing(path) as part:
            figure.savefig(part, format="png", metadata={"Software": None})


def legend(panel: Panel, logged: Mapping[Series, Points]) -> list[tuple[str, str]]:
    """Return what each line of a panel is and its name in the style sheet, for a legend in the page's own text."""
    kinds = zip(panel.series, _LINES, strict=False)
    labels = [(series.label, kind) for series, (_, kind) in kinds if series in logged]
    labels += [(words, "guard") for _, words in panel.guards]
    return labels + ([(panel.guide[1], "guide")] if panel.guide else [])


def panel_svg(panel: Panel, logged: Mapping[Series, Points], salt: str) -> Markup:
    """Return a panel as inline SVG; the page writes the title, where it can wrap."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": salt}):
        figure = Figure(figsize=(3.3, 2.1), layout="constrained")
        draw_panel(figure.subplots(), panel, logged)
        return _inline(figure, panel.title)


def bars_svg(title: str, label: str, edges: Sequence[float], counts: Mapping[str, Sequence[int]]) -> Markup:
    """Return a histogram as inline SVG. `label` names the quantity and its unit."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": title}):
        figure = Figure(figsize=(3.3, 2.1), layout="constrained")
        axes = figure.subplots()
        draw_bars(axes, edges, counts)
        axes.set_xlabel(label)
        return _inline(figure, title)


def ranges_svg(
    title: str,
    label: str,
    rows: Sequence[tuple[str, float | None, Sequence[float] | None]],
    limits: tuple[float, float],
) -> Markup:
    """Return a value with its interval for each of several names, one line below the other; a missing one stays empty.

    Args:
        title: for screen readers.
        label: the quantity and its unit.
        rows: name, value, interval.
        limits: of the scale.
    """
    with mpl.rc_context({**_STYLE, "svg.hashsalt": title, "axes.grid.axis": "x"}):
        figure = Figure(figsize=(3.9, 0.55 + 0.17 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for place, (_, value, interval) in enumerate(rows):
            if interval is not None:
                axes.plot(interval, [place, place], color=FIRST, linewidth=1.6, alpha=0.55, solid_capstyle="butt")
            if value is not None:
                axes.plot([value], [place], color=FIRST, marker="o", markersize=3.6)
        margin = 0.03 * (limits[1] - limits[0])
        axes.set_xlim(limits[0] - margin, limits[1] + margin)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
        axes.tick_params(axis="y", length=0, labelsize=7.5)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.set_xlabel(label)
        return _inline(figure, title)


def band_svg(title: str, x_label: str, y_label: str, bands: Sequence[Band]) -> Markup:
    """Return medians joined by a line, with the middle half as an area; the horizontal scale is logarithmic."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": title}):
        figure = Figure(figsize=(3.3, 2.1), layout="constrained")
        axes = figure.subplots()
        places = [band.centre for band in bands]
        axes.fill_between(places, [b.low for b in bands], [b.high for b in bands], color=FIRST, alpha=0.22, linewidth=0)
        axes.plot(places, [band.median for band in bands], color=FIRST, linewidth=1.4, marker="o", markersize=3)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        return _inline(figure, title)


def curve_svg(
    title: str,
    points: Sequence[tuple[int, float, float]],
    chosen: int,
    levels: Sequence[tuple[str, float]],
) -> tuple[Markup, list[tuple[str, str, float]]]:
    """Return a curve with a band of one standard error, the chosen place marked, and levels to compare with.

    Args:
        title: for screen readers.
        points: number of items, AUC and its standard error.
        chosen: a number of items to mark.
        levels: what each level is, and where it lies; they are lettered in the picture, from the highest.

    Returns:
        The picture, and letter, name and value of each level.
    """
    ordered = sorted(levels, key=lambda level: (-level[1], level[0]))
    letters = [(chr(ord("a") + number), name, value) for number, (name, value) in enumerate(ordered)]
    with mpl.rc_context({**_STYLE, "svg.hashsalt": title}):
        figure = Figure(figsize=(4.6, 2.7), layout="constrained")
        axes = figure.subplots()
        places = [place for place, _, _ in points]
        low = [auc - error for _, auc, error in points]
        high = [auc + error for _, auc, error in points]
        axes.fill_between(places, low, high, color=FIRST, alpha=0.22, linewidth=0)
        axes.plot(places, [auc for _, auc, _ in points], color=FIRST, linewidth=1.4, marker="o", markersize=3)
        axes.axvline(chosen, color=INK, linewidth=0.8)
        for number, (letter, _, value) in enumerate(letters):
            axes.axhline(value, color=SECOND, linewidth=0.9, linestyle=(0, (2, 3)))
            # Side by side, for levels may lie close together.
            axes.annotate(
                letter,
                (1, value),
                xycoords=("axes fraction", "data"),
                xytext=(3 + 7 * (number % 3), 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                annotation_clip=False,
            )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.set_xlabel("items")
        axes.set_ylabel("AUC")
        return _inline(figure, title), letters


def _inline(figure: Figure, title: str) -> Markup:
    """Return a figure as SVG for a page: named for screen readers, without ids that could meet others."""
    buffer = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    svg = buffer.getvalue()[buffer.getvalue().index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"(/?)>', r"<g\1>", svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px; font-family: inherit", svg)
    for placeholder, colour in _PAGE_COLOURS.items():
        svg = svg.replace(placeholder, colour)
    view = re.search(r'viewBox="[-\d. ]*"', svg)
    assert view is not None, "matplotlib writes a viewBox"
    head = f'<svg class="plot" role="img" {view.group(0)} xmlns:xlink="http://www.w3.org/1999/xlink">'
    # matplotlib has escaped its own texts.
    return Markup(f"{head}<title>{escape(title)}</title>{svg[svg.index('>') + 1 :]}")  # noqa: S704
