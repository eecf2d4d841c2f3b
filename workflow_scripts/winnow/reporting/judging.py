"""What the report says of the judge: its gates, how it agrees with itself, with another judge and with people."""

from collections.abc import Mapping
from typing import Any

from winnow.reporting.distributions import Drawing
from winnow.reporting.scores import SCORES, ScoreSummary
from winnow.reporting.words import count

_GATES = {
    "null_rate": "unanswered items",
    "item_null_rate": "unanswered, worst item",
    "quartile_null_rate": "unanswered, worst quarter by length",
    "retest_kappa": "kappa of two judgements alike",
    "order_flip_rate": "answers changed by the order of questions",
    "injection_flip_rate": "answers changed by a planted instruction",
    "length_correlation": "checkmarks and log length, Spearman, absolute",
    "second_kappa": "kappa against a second judge",
    "people_kappa": "kappa against people's annotations",
}
# Block of the judge report → title, name of the other side's share of yes, what that side is.
_AGREEMENTS = {
    "retest": ("Judged twice alike", "again_yes", "Second time"),
    "reordered": ("Questions in another order", "again_yes", "Other order"),
    "second": ("Against a second judge", "second_yes", "Second judge"),
    "human_agreement": ("Against people's annotations", "people_marked", "People marked"),
    "human_sheet": ("Against people, with the judge's own questions", "people_yes", "People"),
}


def verdict(gate: Mapping[str, Any]) -> str:
    """Return passed, failed, not gated or not measured; what is not understood is a fail, never a pass."""
    if gate.get("passed") is True:
        return "passed"
    if gate.get("passed") is None and "threshold" in gate:
        return "not gated" if gate["threshold"] is None else "not measured"
    return "failed"


def gates(report: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the gates as lines of a table."""
    return [
        {
            "name": gate["name"],
            "what": _GATES.get(gate["name"], ""),
            "value": gate.get("value"),
            "bound": "at least" if gate.get("bound") == "at_least" else "at most",
            "threshold": gate.get("threshold"),
            "verdict": verdict(gate),
            "note": gate.get("note"),
        }
        for gate in (report or {}).get("gates") or ()
    ]


def agreements(report: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return a table for each other judgement that the judge was compared with, item by item."""
    tables = []
    for name, (title, column, other) in _AGREEMENTS.items():
        if (block := (report or {}).get(name)) is None:
            continue
        rows = [{**row, "other_yes": row[column]} for row in block["items"]]
        known = sum(row["kappa"] is not None for row in rows)
        tables.append({"name": name, "title": title, "other": other, "rows": rows, "block": block, "known": known})
    return tables


def drawings(report: Mapping[str, Any] | None, summary: ScoreSummary, source: str) -> list[Drawing]:
    """Return the pictures of the judge: kappa per item, and counts by length."""
    # Drawing takes most of a second to import.
    from winnow.reporting.figures import band_svg, ranges_svg  # noqa: PLC0415

    found = []
    for table in agreements(report):
        if not table["known"]:
            continue
        lines = [(row["item"], row["kappa"], row["kappa_interval"]) for row in table["rows"]]
        title = f"Kappa by item: {table['title'][0].lower()}{table['title'][1:]}"
        low = min(0.0, *(min([value, *(bounds or ())]) for _, value, bounds in lines if value is not None))
        svg = ranges_svg(title, "Cohen's kappa", lines, (low, 1.0))
        note = f"{table['known']} of {len(lines)} items have a kappa; bars are 95 % intervals from resampling prompts"
        found.append(Drawing(title, svg, note, source))
    if bands := summary.counts_by_length():
        title = "Checkmarks by length"
        svg = band_svg(title, "tokens, as the judge counts", "checkmarks", bands)
        legend = (("median", "first"), ("middle half", "area"))
        note = f"n = {count(sum(band.n for band in bands))} responses in {len(bands)} classes of length"
        found.append(Drawing(title, svg, note, SCORES, legend))
    return found
