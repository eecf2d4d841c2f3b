"""Reviews written by models: CSV files with one row per paper and sections as Python lists."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from winnow.corpus import cleaning
from winnow.corpus.reading import origin_of, read_records, require
from winnow.corpus.records import Rejected, Response
from winnow.graders.ratings import CONFIDENCE_SCALE, read_rating

SECTIONS = ("Summary", "Strengths", "Weaknesses", "Questions", "Limitations")

# These models were asked with the NeurIPS form, whose overall score is 1 to 10; that the papers were ICLR's
# of 2022, with its 1, 3, 5, 6, 8, 10, does not change the scale that the models were given.
SCALE = tuple(map(float, range(1, 11)))


class NotASectionError(ValueError):
    """A cell that begins like a list and is none."""


def _section(cell: str | None) -> str:
    """Return one section as Markdown: a list's items as bullets, plain text as it is."""
    if cell is None:
        return ""
    cell = cell.strip()
    if not cell.startswith("["):
        return cleaning.normalise(cell)[0]
    try:
        items = ast.literal_eval(cell)
    except (ValueError, SyntaxError) as error:
        raise NotASectionError(str(error)) from error
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise NotASectionError("not a list of texts")
    lines = (cleaning.one_line(cleaning.normalise(item)[0]) for item in items)
    return "\n".join(f"- {line}" for line in lines if line)


def render_review(cells: Mapping[str, Any]) -> str:
    """Return a review as Markdown, "## Summary" and so on; empty sections are left out.

    Raises:
        NotASectionError: if a section is a damaged list.
    """
    sections = ((name, _section(cells.get(name))) for name in SECTIONS)
    return "\n\n".join(f"## {name}\n\n{text}" for name, text in sections if text)


def read_reviews(path: Path, reviewer: str) -> Iterator[Response | Rejected]:
    """Yield one response, or one reason, for each row of a file.

    Args:
        path: the file.
        reviewer: its name without ending: model and variant, which go into every id.
    """
    for row in read_records(path):
        paper = str(require(row, "paper_id", path))
        for name in (*SECTIONS, "Overall", "Confidence"):
            require(row, name, path)
        identity, origin = f"{paper}-{reviewer}", origin_of(row, path, reviewer)
        try:
            text = render_review(row.values)
        except NotASectionError as error:
            yield Rejected(identity, origin, "response", "section is a damaged list", str(error))
            continue
        rating = read_rating(row.values["Overall"], SCALE)
        confidence = read_rating(row.values["Confidence"], CONFIDENCE_SCALE, "confidence")
        yield Response(
            identity,
            origin,
            prompt_id=paper,
            text=text,
            author_kind="model",
            rating=rating.value,
            rating_label=row.values["Overall"],
            rating_scale=None if row.values["Overall"] is None else SCALE,
            confidence=confidence.value,
            confidence_label=row.values["Confidence"],
            notes=tuple(note for note in (rating.note, confidence.note) if note),
        )
