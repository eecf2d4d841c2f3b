"""Ratings and confidences as numbers: parsed whole, checked against their scale, never guessed."""

import re
from collections.abc import Collection
from typing import NamedTuple

CONFIDENCE_SCALE = (1.0, 2.0, 3.0, 4.0, 5.0)

# docs/methods.md, Ratings: a number at the start, then a separator or the end. The number is atomic, so that "10: ..."
# can never be 1 nor "6.5 points" be 6; a dash before another number ("8-9") is a range, which is no rating.
_NUMBER = re.compile(r"\s*((?>[0-9]+(?:\.[0-9]+)?))(?=\s*[:.]|\s*-(?!\s*[0-9])|\s*$)")


class Reading(NamedTuple):
    """A number that was read, or None and why there is none; `note` is null where all is well."""

    value: float | None
    note: str | None


def read_rating(label: str | None, scale: Collection[float], what: str = "rating") -> Reading:
    """Read a rating such as "8: Top 50% of accepted papers, clear accept".

    Args:
        label: the rating as it was given.
        scale: every legal value.
        what: its name in notes.
    """
    if label is None or not label.strip():
        return Reading(None, f"{what} absent")
    found = _NUMBER.match(label)
    if found is None:
        return Reading(None, f"{what} not understood")
    value = float(found.group(1))
    return Reading(value, None) if value in scale else Reading(None, f"{what} off its scale")
