"""Choosing responses for SFT. A policy is a function in `POLICIES`; adding one is adding a function."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Annotated, Any

from pydantic import Field

from winnow.core.config.base import Settings
from winnow.core.config.datasets import EveryRight, TopFraction
from winnow.core.ids import sha256_text
from winnow.core.tables import Row
from winnow.datasets.funnel import refuse_empty
from winnow.datasets.scores import Score, split_of

RATING_MISSING = "rating_missing"
ANSWERS_MISSING = "answers_missing"
SPLIT_TEST = "split_test"
NOT_RIGHT = "not_right"
BELOW_CUT = "below_cut"

KEYS = {
    RATING_MISSING: "set require_rating: false, or use a corpus with ratings",
    ANSWERS_MISSING: "look at the judge's null rate in scores/judge_report.json, or lower signal.min_answered",
    SPLIT_TEST: "lower splits.test of the corpus",
    NOT_RIGHT: "look at what the responses say, and at the corpus's labels and answers",
    BELOW_CUT: "raise fraction: floor(fraction * eligible) is 0",
}


class TopFractionSpec(TopFraction):
    """A dataset's settings with the signal's threshold on answered items."""

    min_answered: Annotated[float, Field(gt=0, le=1)]


class EveryRightSpec(EveryRight):
    """A dataset's settings with the signal's threshold on answered items."""

    min_answered: Annotated[float, Field(gt=0, le=1)]


SelectionSpec = TopFractionSpec | EveryRightSpec


class SelectionJob(Settings):
    """What select_responses.py is told."""

    dataset: Annotated[SelectionSpec, Field(discriminator="policy")]


@dataclass(frozen=True, slots=True)
class Choice:
    """A chosen response.

    Attributes:
        rank: 1 is the best.
        reason: why it is here, for people.
    """

    score: Score
    split: str
    rank: int
    reason: str


def exact_floor(fraction: float, count: int) -> int:
    """Return ⌊fraction · count⌋ of the number as it was written: 0.29 of 100 is 29, not 28."""
    return floor(Fraction(repr(fraction)) * count)


def goodness(score: Score) -> tuple[int, bool, float, bool, float, str]:
    """Return a sort key, best first: checkmarks, mean p_yes, confidence (null last), then a hash of the id.

    Source: docs/methods.md, Selection.
    """
    return (
        -score.checkmark_count,
        score.p_yes_mean is None,
        -(score.p_yes_mean or 0.0),
        score.confidence is None,
        -(score.confidence or 0.0),
        sha256_text(score.response_id),
    )


def refusal(score: Score, split: str, spec: SelectionSpec) -> str | None:
    """Return why a response cannot be chosen, or None if it is eligible."""
    if split == "test":
        return SPLIT_TEST
    if spec.require_rating and score.rating is None:
        return RATING_MISSING
    if score.answered_share < spec.min_answered:
        return ANSWERS_MISSING
    if spec.only_right and not score.is_right:
        return NOT_RIGHT
    return None


def _eligible(
    scores: Sequence[Score], splits: Mapping[str, str], spec: SelectionSpec
) -> tuple[list[Score], Counter[str]]:
    """Return the responses that nothing refuses, best first, and how many each rule removed."""
    eligible, dropped = [], Counter[str]()
    for score in scores:
        reason = refusal(score, split_of(splits, score.prompt_id), spec)
        if reason is None:
            eligible.append(score)
        else:
            dropped[reason] += 1
    return sorted(eligible, key=goodness), dropped


def top_fraction(scores: Sequence[Score], splits: Mapping[str, str], spec: TopFractionSpec) -> list[Choice]:
    """Return exactly ⌊fraction · N⌋ of the N eligible train and val responses, best first.

    Raises:
        WinnowError: if that is none.
    """
    eligible, dropped = _eligible(scores, splits, spec)
    count = exact_floor(spec.fraction, len(eligible))
    best = eligible[:count]
    if not any(splits[score.prompt_id] == "train" for score in best):
        dropped[BELOW_CUT] += len(eligible)
        raise refuse_empty("top_fraction", len(scores), +dropped, "scored responses", KEYS)
    why = f"among the best {count} of {len(eligible)} eligible"
    return [Choice(score, splits[score.prompt_id], rank, why) for rank, score in enumerate(best, 1)]


def every_right(scores: Sequence[Score], splits: Mapping[str, str], spec: EveryRightSpec) -> list[Choice]:
    """Return every train and val response that meets all items, best first.

    Raises:
        WinnowError: if there is none in train.
    """
    eligible, dropped = _eligible(scores, splits, spec)
    if not any(splits[score.prompt_id] == "train" for score in eligible):
        raise refuse_empty("all", len(scores), dropped, "scored responses", KEYS)
    return [Choice(score, splits[score.prompt_id], rank, "is right") for rank, score in enumerate(eligible, 1)]


Policy = Callable[[Sequence[Score], Mapping[str, str], Any], list[Choice]]

POLICIES: dict[str, Policy] = {"top_fraction": top_fraction, "all": every_right}


def chosen_row(choice: Choice) -> Row:
    """Return a row of chosen.parquet."""
    score = choice.score
    return {
        "response_id": score.response_id,
        "prompt_id": score.prompt_id,
        "split": choice.split,
        "rank": choice.rank,
        "reason": choice.reason,
        "checkmark_count": score.checkmark_count,
        "checkmark_max": score.checkmark_max,
        "p_yes_mean": score.p_yes_mean,
        "confidence": score.confidence,
    }


def ledger(
    scores: Sequence[Score], splits: Mapping[str, str], spec: SelectionSpec, choices: Sequence[Choice]
) -> Iterator[Row]:
    """Yield a ledger row for every scored response that was not chosen."""
    taken = {choice.score.response_id for choice in choices}
    for score in scores:
        if score.response_id not in taken:
            split = splits[score.prompt_id]
            yield {
                "response_id": score.response_id,
                "prompt_id": score.prompt_id,
                "split": split,
                "reason": refusal(score, split, spec) or BELOW_CUT,
            }
