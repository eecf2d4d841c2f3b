"""Numbers and texts as a reader sees them. Missing is a dash, never a zero."""

import re
from collections.abc import Sequence
from typing import Any

MISSING = "–"
# Not allowed in HTML, or able to reorder what is read: models and people write both.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def count(value: float | None) -> str:
    """Return a whole number with thousands separators."""
    return MISSING if value is None else f"{value:,.0f}"


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with fixed decimals, a true minus sign, and thousands separators."""
    return MISSING if value is None else f"{value:,.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """Return a difference, always with its sign."""
    return MISSING if value is None else f"{value:+,.{digits}f}".replace("-", "−")


def share(value: float | None, digits: int = 1) -> str:
    """Return a share in per cent."""
    return MISSING if value is None else f"{100 * value:.{digits}f} %".replace("-", "−")


def points(value: float | None, digits: int = 1) -> str:
    """Return a difference of shares in percentage points."""
    return MISSING if value is None else f"{100 * value:+.{digits}f}".replace("-", "−")


def interval(bounds: Sequence[float] | None, digits: int = 3, scale: float = 1) -> str:
    """Return an interval as [low, high]; without one, a dash."""
    if bounds is None:
        return MISSING
    return f"[{number(scale * bounds[0], digits)}, {number(scale * bounds[1], digits)}]"


def probability(value: float | None) -> str:
    """Return a p value; what is there and smaller than shown is not shown as nothing."""
    return "< 0.001" if value is not None and value < 0.0005 else number(value)


def excludes_zero(bounds: Sequence[float] | None) -> bool:
    """Say whether an interval lies on one side of zero."""
    return bounds is not None and (bounds[0] > 0 or bounds[1] < 0)


def cell(value: Any) -> str:
    """Return any JSON value in a table's cell."""
    if isinstance(value, list):
        return "[" + ", ".join(map(cell, value)) + "]" if value else "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {cell(inner)}" for key, inner in value.items()) or "none"
    return _scalar(value)


def _scalar(value: str | float | bool | None) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    return f"{value:.4g}".replace("-", "−") if isinstance(value, float) else clean(value)


def raw(value: float | None) -> str:
    """Return a number in full, for a script that sorts by it; nothing where it is missing."""
    return "" if value is None else repr(value)


def duration(seconds: float | None) -> str:
    """Return a time in the units that suit it."""
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def hours(value: float | None) -> str:
    """Return hours with two decimals; what is there and smaller is not shown as nothing."""
    return "< 0.01" if value is not None and 0 < value < 0.005 else number(value, 2)


def clean(text: str) -> str:
    """Return text with every character that a page cannot show replaced by U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


FILTERS = {
    "count": count,
    "number": number,
    "signed": signed,
    "share": share,
    "points": points,
    "interval": interval,
    "cell": cell,
    "probability": probability,
    "raw": raw,
    "duration": duration,
    "hours": hours,
    "clean": clean,
}
