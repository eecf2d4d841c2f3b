"""Generated reviews as rows like a corpus's: parsed, and flagged with everything that is wrong with their form."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winnow.core.errors import WinnowError
from winnow.core.ids import sha256_text
from winnow.core.manifest import Tally
from winnow.core.tables import Row, read_rows
from winnow.graders.reviews import parse_review

CUT_OFF = "cut_off"  # the limit ended it, not the model


@dataclass(frozen=True)
class Asked:
    """What a prompt asks of a review besides its text.

    Attributes:
        scale: every legal rating of the paper's human reviews, ascending; None where they have none.
        confidence: whether every one of them says how sure it is, so that a review without that lacks it.
    """

    scale: tuple[float, ...] | None
    confidence: bool


def _generations(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def asked_of(generations: Iterable[Path], responses: Path) -> dict[str, Asked]:
    """Return what was asked for each prompt that was answered.

    Args:
        generations: generations.jsonl of every run.
        responses: responses.parquet of the corpus.
    """
    answered = {row["prompt_id"] for path in generations for row in _generations(path)}
    asked: dict[str, Asked] = {}
    for row in read_rows(responses, ["prompt_id", "rating_scale", "confidence_label"]):
        if row["prompt_id"] in answered:
            before = asked.get(row["prompt_id"], Asked(None, confidence=True))
            scale = tuple(row["rating_scale"]) if row["rating_scale"] else before.scale
            asked[row["prompt_id"]] = Asked(scale, before.confidence and row["confidence_label"] is not None)
    return asked


def response_rows(run: str, generations: Path, asked: Mapping[str, Asked], tally: Tally) -> Iterator[Row]:
    """Yield a row of a corpus's responses for every generation of a run.

    Raises:
        WinnowError: if one answers a prompt that the corpus lacks.
    """
    for row in _generations(generations):
        wanted = asked.get(row["prompt_id"])
        if wanted is None:
            raise WinnowError(
                f"{generations}, {row['id']}", "answers no prompt of the corpus", "generate the responses again"
            )
        tally.read += 1
        tally.kept += 1
        made = response_row(run, row, wanted)
        for flag in made["flags"]:
            tally.note(flag)
        tally.note("not valid" if made["flags"] else "valid")
        yield made


def response_row(run: str, generation: Mapping[str, Any], asked: Asked) -> Row:
    """Return a generation as a row of RESPONSES (core.tables)."""
    review = parse_review(generation["text"], asked.scale, confidence=asked.confidence)
    cut = [CUT_OFF] if generation["stop_reason"] == "length" else []
    return {
        "response_id": generation["id"],
        "prompt_id": generation["prompt_id"],
        "text": review.body,
        "rating": review.rating,
        "rating_label": review.rating_label,
        "rating_scale": None if asked.scale is None else list(asked.scale),
        "confidence": review.confidence,
        "confidence_label": review.confidence_label,
        "author_kind": "model",
        "date": None,
        "flags": [*review.problems, *cut],
        "source": run,
        "text_sha256": sha256_text(review.body),
    }
