"""Which of the good pairs are taken: the widest apart and the most alike in length come first."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from winnow.core.ids import content_key
from winnow.datasets.scores import Score

RESPONSE_USED = "response_used"
PROMPT_FULL = "prompt_full"

PAIR_ID_DIGITS = 24  # 96 bits: no two pairs of any corpus share them
SCORE_DIGITS = 9  # rounding keeps the order free of the last bits of a float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair that meets every condition.

    Attributes:
        similarity: normalised edit similarity of the texts, 0 to 1.
        length_ratio: characters of the chosen divided by those of the rejected response.
    """

    chosen: Score
    rejected: Score
    similarity: float
    length_ratio: float


@dataclass(frozen=True, slots=True)
class RankedPair:
    """A pair that is taken; `rank` is its place within its prompt, 1 the best."""

    candidate: Candidate
    pair_score: float
    rank: int


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (population) of a margin over all candidates."""

    mean: float = 0.0
    deviation: float = 0.0

    def z(self, value: float) -> float:
        """Return how many deviations a value lies above the mean; 0 where all values are equal."""
        return (value - self.mean) / self.deviation if self.deviation else 0.0


@dataclass(frozen=True)
class Ranking:
    """Pairs taken, candidates passed over with the reason, and the spreads that the z-scores refer to."""

    kept: list[RankedPair] = field(default_factory=list)
    refused: list[tuple[Candidate, str]] = field(default_factory=list)
    rating: Spread = field(default_factory=Spread)
    checkmarks: Spread = field(default_factory=Spread)


def pair_id_of(chosen_id: str, rejected_id: str) -> str:
    """Return the name of a pair, which depends on its two responses and their sides alone."""
    return content_key([chosen_id, rejected_id])[:PAIR_ID_DIGITS]


def spread(values: Sequence[float]) -> Spread:
    """Return mean and population standard deviation; the order of the values does not matter."""
    if not values:
        return Spread()
    mean = math.fsum(values) / len(values)
    return Spread(mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values)))


def pair_score(rating_diff: float, checkmark_diff: float, ratio: float, rating: Spread, checkmarks: Spread) -> float:
    """Return z(rating_diff) + z(checkmark_diff) - |log(length ratio)|.

    Source: docs/methods.md, Preference pairs. The z-scores refer to all candidates of the dataset
    that meet every condition, train and val together, before the limits per prompt and per response.
    """
    return round(rating.z(rating_diff) + checkmarks.z(checkmark_diff) - abs(math.log(ratio)), SCORE_DIGITS)


def rating_diff_of(candidate: Candidate) -> float:
    """Return chosen minus rejected rating; both are known for a candidate."""
    assert candidate.chosen.rating is not None
    assert candidate.rejected.rating is not None
    return candidate.chosen.rating - candidate.rejected.rating


def checkmark_diff_of(candidate: Candidate) -> int:
    """Return chosen minus rejected checkmarks."""
    return candidate.chosen.checkmark_count - candidate.rejected.checkmark_count


def take(ordered: Iterable[tuple[str, str]], limit: int) -> list[str | None]:
    """Go through one prompt's pairs, best first, and say of each why it is not taken, or None.

    Args:
        ordered: (chosen id, rejected id), best first.
        limit: the most pairs that a prompt may give.
    """
    used_chosen: set[str] = set()
    used_rejected: set[str] = set()
    verdicts: list[str | None] = []
    for chosen_id, rejected_id in ordered:
        if len(used_chosen) == limit:
            verdicts.append(PROMPT_FULL)
        elif chosen_id in used_chosen or rejected_id in used_rejected:
            verdicts.append(RESPONSE_USED)
        else:
            used_chosen.add(chosen_id)
            used_rejected.add(rejected_id)
            verdicts.append(None)
    return verdicts


def rank_pairs(candidates: Sequence[Candidate], max_pairs_per_prompt: int) -> Ranking:
    """Take the best pairs of each prompt by `pair_score`, each response at most once per side; ties go by pair id."""
    rating = spread([rating_diff_of(candidate) for candidate in candidates])
    checkmarks = spread([checkmark_diff_of(candidate) for candidate in candidates])

    def score(candidate: Candidate) -> float:
        margins = rating_diff_of(candidate), checkmark_diff_of(candidate)
        return pair_score(*margins, candidate.length_ratio, rating, checkmarks)

    ranking = Ranking(rating=rating, checkmarks=checkmarks)
    _take_best(candidates, max_pairs_per_prompt, score, ranking)
    return ranking


def rank_by_length(candidates: Sequence[Candidate], max_pairs_per_prompt: int) -> Ranking:
    """Take the pairs of each prompt that are most alike in length, as `rank_pairs` does."""
    ranking = Ranking()
    _take_best(candidates, max_pairs_per_prompt, lambda c: round(-abs(math.log(c.length_ratio)), SCORE_DIGITS), ranking)
    return ranking


def _take_best(
    candidates: Sequence[Candidate], max_pairs_per_prompt: int, score_of: Callable[[Candidate], float], ranking: Ranking
) -> None:
    """Fill a ranking with the best pairs of each prompt, and with those passed over."""
    by_prompt = sorted(candidates, key=lambda candidate: candidate.chosen.prompt_id)
    for _, group in groupby(by_prompt, key=lambda candidate: candidate.chosen.prompt_id):
        scored = [(score_of(candidate), candidate) for candidate in group]
        scored.sort(key=lambda item: (-item[0], pair_id_of(item[1].chosen.response_id, item[1].rejected.response_id)))
        verdicts = take(((c.chosen.response_id, c.rejected.response_id) for _, c in scored), max_pairs_per_prompt)
        rank = 0
        for (score, candidate), reason in zip(scored, verdicts, strict=True):
            if reason is not None:
                ranking.refused.append((candidate, reason))
                continue
            rank += 1
            ranking.kept.append(RankedPair(candidate, score, rank))
