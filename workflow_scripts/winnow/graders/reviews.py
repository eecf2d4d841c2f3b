"""A generated review taken apart: its body, its rating and its confidence, and everything that is wrong with its form.

The inverse of what resources/prompts/review.yaml makes of a response (docs/methods.md, Generated reviews):

    # Review            the first line that is not empty, and the only such heading
    <body>              up to the first line that is "## Rating" or "## Confidence"
    ## Rating
    8: good paper       the next line that is not empty, read by graders.ratings
    ## Confidence
    4: confident

A line counts as one of these headings only where it is nothing else; "Rating: 8" within a sentence is text. Of a part
that occurs twice the first is read, and the review is flagged: which of the two is meant is not guessed.
"""

import re
from collections.abc import Collection
from itertools import zip_longest
from typing import NamedTuple

from winnow.graders.ratings import CONFIDENCE_SCALE, Reading, read_rating

HEAD = "# Review"
PARTS = ("rating", "confidence")

_HEAD = re.compile(r"\s*# Review[ \t]*(?:\n|$)")
_AGAIN = re.compile(r"^# Review[ \t]*$", re.MULTILINE)
_PART = re.compile(r"^## (Rating|Confidence)[ \t]*$", re.MULTILINE)
_SECTION = re.compile(r"^## (.+?)[ \t]*$", re.MULTILINE)


class ParsedReview(NamedTuple):
    """What a text holds if it is read as a review.

    Attributes:
        body: the review's text without its head, rating and confidence; the whole text where it has none of them.
        rating: or null, where it is absent, not understood or off its scale.
        rating_label: as it was written, one line.
        confidence: or null, likewise.
        confidence_label: likewise.
        sections: headings of the second level in the body, in their order.
        problems: why it is not valid, in a fixed order; empty for a valid review.
    """

    body: str
    rating: float | None
    rating_label: str | None
    confidence: float | None
    confidence_label: str | None
    sections: tuple[str, ...]
    problems: tuple[str, ...]


def parse_review(text: str, scale: Collection[float] | None, *, confidence: bool = True) -> ParsedReview:
    """Take a review apart.

    Args:
        text: as it was generated.
        scale: every legal rating; None where none was asked for.
        confidence: whether one was asked for.
    """
    problems = []
    head = _HEAD.match(text)
    if head is None:
        problems.append("no_review_heading")
    rest = text[head.end() :] if head else text
    if _AGAIN.search(rest):
        problems.append("review twice")
    headings = list(_PART.finditer(rest))
    body = rest[: headings[0].start()].strip() if headings else rest.strip()
    if not body:
        problems.append("empty_review")
    labels, trailing = _labels(rest, headings)
    named = [heading.group(1).lower() for heading in headings]
    problems += [f"{part} twice" for part in PARTS if named.count(part) > 1]
    if trailing:
        problems.append("text after a part")
    rating = _read(labels.get("rating"), scale, "rating", asked=scale is not None)
    sure = _read(labels.get("confidence"), CONFIDENCE_SCALE, "confidence", asked=confidence)
    problems += [reading.note for reading in (rating, sure) if reading.note]
    return ParsedReview(
        body=body,
        rating=rating.value,
        rating_label=labels.get("rating"),
        confidence=sure.value,
        confidence_label=labels.get("confidence"),
        sections=tuple(_SECTION.findall(body)),
        problems=tuple(problems),
    )


def _labels(rest: str, headings: list[re.Match[str]]) -> tuple[dict[str, str], bool]:
    """Return the first label of each part, and whether more than a label stands below any."""
    labels: dict[str, str] = {}
    trailing = False
    for heading, after in zip_longest(headings, headings[1:]):
        end = after.start() if after else len(rest)
        lines = [line.strip() for line in rest[heading.end() : end].split("\n") if line.strip()]
        trailing = trailing or len(lines) > 1
        if lines:
            labels.setdefault(heading.group(1).lower(), lines[0])
    return labels, trailing


def _read(label: str | None, scale: Collection[float] | None, what: str, *, asked: bool) -> Reading:
    """Read a part; one that was not asked for may be absent."""
    if scale is None or (label is None and not asked):
        return Reading(None, None)
    return read_rating(label, scale, what)
