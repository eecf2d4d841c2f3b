"""Score rows as selecting and pairing need them: ids and numbers, no text, a few hundred bytes each."""

import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from winnow.core.errors import WinnowError
from winnow.core.tables import read_rows


@dataclass(frozen=True, slots=True)
class Score:
    """What is known of one response, without its text.

    Attributes:
        rating: as given, on the scale of its year; None where there is none.
        scale_width: largest minus smallest legal rating; None without a scale.
        checkmark_count: items answered yes.
        checkmark_max: items answered at all.
        checkmark_score: the former divided by the latter; None where nothing was answered.
        p_yes_mean: mean probability of yes over the items that have one; None without any.
        answered_share: share of the checklist's items that were answered.
    """

    response_id: str
    prompt_id: str
    decision: str | None
    rating: float | None
    scale_width: float | None
    confidence: float | None
    author_kind: str | None
    checkmark_count: int
    checkmark_max: int
    checkmark_score: float | None
    p_yes_mean: float | None
    answered_share: float

    @property
    def is_right(self) -> bool:
        """Whether every item that was answered is met, and there is one."""
        return self.checkmark_max > 0 and self.checkmark_count == self.checkmark_max


def raw_scores(path: Path, corpus: str) -> Iterator[dict[str, Any]]:
    """Yield the score rows of one corpus as they stand in the file.

    Raises:
        WinnowError: naming file and line where a line is not a score row.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
                if row["corpus"] == corpus:
                    yield row
            except (ValueError, KeyError, TypeError) as error:
                raise WinnowError(
                    f"{path}, line {number}", f"is not a score row ({error!r})", "have gather_scores write it again"
                ) from error


def mean_p_yes(p_yes: dict[str, float | None]) -> float | None:
    """Return the mean of the known probabilities of yes; None without any. The order does not matter."""
    known = [value for value in p_yes.values() if value is not None]
    return math.fsum(known) / len(known) if known else None


def as_score(row: dict[str, Any]) -> Score:
    """Return the part of a score row that choosing needs."""
    scale = row["rating_scale"]
    return Score(
        response_id=row["response_id"],
        prompt_id=sys.intern(row["prompt_id"]),
        decision=None if row["decision"] is None else sys.intern(row["decision"]),
        rating=row["rating"],
        scale_width=max(scale) - min(scale) if scale else None,
        confidence=row["confidence"],
        author_kind=row.get("author_kind"),
        checkmark_count=row["checkmark_count"],
        checkmark_max=row["checkmark_max"],
        checkmark_score=row["checkmark_score"],
        p_yes_mean=mean_p_yes(row["p_yes"]),
        answered_share=row["answered_share"],
    )


def read_scores(path: Path, corpus: str) -> list[Score]:
    """Return the scores of one corpus, ordered by response.

    Raises:
        WinnowError: if a response is scored twice, or nothing of the corpus is scored.
    """
    scores = []
    for row in raw_scores(path, corpus):
        try:
            scores.append(as_score(row))
        except (KeyError, TypeError) as error:
            place = f"{path}, response {row.get('response_id')}"
            raise WinnowError(place, f"is not a score row ({error!r})", "have gather_scores write it again") from error
    scores.sort(key=lambda score: score.response_id)
    for first, second in pairwise(scores):
        if first.response_id == second.response_id:
            raise WinnowError(path, f"response {first.response_id} is scored twice", "make the ids unique")
    if not scores:
        raise WinnowError(path, f"has no rows of corpus {corpus!r}", "check the dataset's key corpus, or rerun scoring")
    return scores


def read_splits(path: Path) -> dict[str, str]:
    """Return prompt → split.

    Raises:
        WinnowError: if a prompt occurs twice.
    """
    splits: dict[str, str] = {}
    for row in read_rows(path, ["prompt_id", "split"]):
        if row["prompt_id"] in splits:
            raise WinnowError(path, f"prompt {row['prompt_id']} occurs twice", "have split.py write it again")
        splits[sys.intern(row["prompt_id"])] = sys.intern(row["split"])
    return splits


def split_of(splits: Mapping[str, str], prompt_id: str) -> str:
    """Return the split of a prompt.

    Raises:
        WinnowError: if it has none: scores and splits are then of different corpora.
    """
    try:
        return splits[prompt_id]
    except KeyError:
        raise WinnowError(
            f"splits, prompt {prompt_id}", "is scored but in no split", "make splits and scores from the same corpus"
        ) from None
