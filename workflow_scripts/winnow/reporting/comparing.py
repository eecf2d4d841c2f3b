"""The comparison as tables of a page, with the scale of the small drawing beside each interval."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Bounds = Sequence[float] | None
STAGES = ("base", "sft", "dpo")


def scale(points: Iterable[tuple[float | None, Bounds]]) -> tuple[float, float] | None:
    """Return the range that holds all values and intervals, a little wider; None without any."""
    values = [value for value, _ in points if value is not None]
    for _, bounds in points:
        values += bounds or []
    if not values:
        return None
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin


def mark(value: float | None, bounds: Bounds, limits: tuple[float, float] | None) -> dict[str, float] | None:
    """Return where a value and its interval stand, in per cent of the width of the drawing."""
    if value is None or limits is None:
        return None
    low, high = limits

    def place(x: float) -> float:
        return round(100 * (x - low) / (high - low), 2)

    ends = bounds or (value, value)
    return {"at": place(value), "low": place(ends[0]), "high": place(ends[1])}


def in_order(rows: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Return base, SFT and DPO in this order: each after what it was trained from."""
    return sorted(rows, key=lambda row: STAGES.index(row["stage"]))


def tables(comparison: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return for each modality the table of losses, and one table for each set of pairs."""
    found = []
    for modality, listed in ((comparison or {}).get("modalities") or {}).items():
        rows = in_order(listed)
        losses = [(row["heldout"]["loss"], row["heldout"]["loss_interval"]) for row in rows]
        limits = scale(losses)
        names = sorted({name for row in rows for name in row["preferences"]})
        found.append(
            {
                "modality": modality,
                "rows": [{**row, "mark": mark(*loss, limits)} for row, loss in zip(rows, losses, strict=True)],
                "preferences": [_preferences(name, rows) for name in names],
            }
        )
    return found


def _preferences(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    lines = []
    for row in rows:
        if (pairs := row["preferences"].get(name)) is None:
            continue
        lines.append(
            {
                "run": row["run"],
                "stage": row["stage"],
                "parent": row["parent"],
                **pairs,
                "mark": mark(pairs["accuracy"], pairs["interval"], (0.0, 1.0)),
                "to_base": _difference(row, "to_base", name),
                "to_parent": _difference(row, "to_parent", name),
            }
        )
    first = lines[0]
    return {
        "name": name,
        "rows": lines,
        "length_only_accuracy": first["length_only_accuracy"],
        "length_only_rule": first["length_only_rule"],
    }


def _difference(row: dict[str, Any], key: str, name: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = (row.get(key) or {}).get("preferences", {}).get(name)
    return found
