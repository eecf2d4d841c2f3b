"""Distributions of scores, ratings and lengths, as drawings with the n and the missing values beside them."""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from winnow.core.config.studies import ResolvedStudy
from winnow.reporting.scores import SCORES, ScoreSummary, even_bins, histogram, quantile, unit_bins
from winnow.reporting.sources import Results
from winnow.reporting.words import count, number


@dataclass(frozen=True)
class Drawing:
    """A histogram for the page."""

    title: str
    svg: Markup
    note: str
    source: str
    legend: tuple[tuple[str, str], ...] = ()


def _quartiles(counts: Any) -> str:
    low, middle, high = (quantile(counts, share) for share in (0.25, 0.5, 0.75))
    return f"median {number(middle, 0)}, middle half {number(low, 0)} to {number(high, 0)}"


def score_drawings(summary: ScoreSummary) -> list[Drawing]:
    """Return the distributions over all scored responses that have a value."""
    # Drawing takes most of a second to import, and only these functions draw bars.
    from winnow.reporting.figures import bars_svg  # noqa: PLC0415

    drawings = []
    if summary.checkmarks:
        edges, (everything, chosen) = unit_bins(summary.checkmarks, summary.chosen_checkmarks)
        title = "Checkmarks per response"
        counts = {"all scored": everything, "selected for SFT": chosen}
        note = _note(summary, "checkmark_count", summary.checkmarks) + f"; {count(sum(chosen))} selected"
        legend = (("all scored", "first"), ("selected for SFT", "second"))
        drawings.append(Drawing(title, bars_svg(title, "checkmarks", edges, counts), note, SCORES, legend))
    if summary.ratings:
        whole = {round(rating): number_of for rating, number_of in summary.ratings.items()}
        edges, (bars,) = unit_bins(whole)
        title = "Ratings"
        note = _note(summary, "rating", summary.ratings)
        drawings.append(Drawing(title, bars_svg(title, "rating", edges, {"responses": bars}), note, SCORES))
    if summary.tokens:
        edges, bars, beyond = even_bins(summary.tokens, quantile(summary.tokens, 0.99) or 1)
        title = "Length of responses"
        note = _note(summary, "n_tokens", summary.tokens) + f"; {count(beyond)} longer than {count(edges[-1])}"
        drawings.append(
            Drawing(title, bars_svg(title, "tokens, as the judge counts", edges, {"n": bars}), note, SCORES)
        )
    return drawings


def _note(summary: ScoreSummary, name: str, counts: Any) -> str:
    known, missing = sum(counts.values()), summary.missing[name]
    return f"n = {count(known)}, {count(missing)} without a value; {_quartiles(counts)}"


_PAIR_COLUMNS = {
    "rating_diff": ("Rating, chosen minus rejected", "rating points"),
    "checkmark_diff": ("Checkmarks, chosen minus rejected", "checkmarks"),
    "length_ratio": ("Length, chosen over rejected", "ratio"),
}


def pair_drawings(results: Results, study: ResolvedStudy) -> list[Drawing]:
    """Return the distributions of the margins and length ratios of each dataset of pairs.

    Pairs of a right and a wrong answer differ by one mark and have no ratings: of them only lengths say anything.
    """
    from winnow.reporting.figures import bars_svg  # noqa: PLC0415

    drawings = []
    wanted = list(_PAIR_COLUMNS) if study.signal.judges else ["length_ratio"]
    for name in (name for name, dataset in study.datasets.items() if dataset.stage == "dpo"):
        source = f"datasets/{name}/chosen.parquet"
        columns: dict[str, list[float]] = {column: [] for column in wanted}
        for row in results.rows(source, wanted):
            for column, values in columns.items():
                if row[column] is not None:
                    values.append(float(row[column]))
        for column, values in columns.items():
            if values:
                words, unit = _PAIR_COLUMNS[column]
                edges, bars = _bins(values)
                title = f"{name}: {words[0].lower()}{words[1:]}"
                middle = sorted(values)[(len(values) - 1) // 2]
                note = f"n = {count(len(values))} pairs, median {number(middle, 2)}"
                drawings.append(Drawing(title, bars_svg(title, unit, edges, {"pairs": bars}), note, source))
    return drawings


def _bins(values: list[float]) -> tuple[list[float], list[int]]:
    if all(value.is_integer() for value in values):
        edges, (bars,) = unit_bins({int(value): values.count(value) for value in set(values)})
        return edges, bars
    return histogram(values)
