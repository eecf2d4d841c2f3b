"""Pairing responses for DPO by ratings and scores, and what all policies share (`pair_policies.py`).

Every unordered pair of scored responses to one prompt is a candidate. It is turned so that the
higher rating is chosen, meets the rules on ids and scores, then those on texts, and the survivors
are ranked (`rank.py`). Each candidate ends in chosen.parquet or in the ledger with its first reason.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, groupby
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from rapidfuzz.distance import Levenshtein

from winnow.core.config.datasets import Contrastive
from winnow.core.tables import Row
from winnow.datasets.funnel import refuse_empty
from winnow.datasets.late_text import responses_by_prompt
from winnow.datasets.rank import Candidate, RankedPair, Ranking, pair_id_of, rank_pairs
from winnow.datasets.scores import Score, split_of
from winnow.datasets.text import normalised

RATING_MISSING = "rating_missing"
ANSWERS_MISSING = "answers_missing"
DECISION = "decision"
SPLIT_TEST = "split_test"
RATING_DIFF = "rating_diff"
CHECKMARK_DIFF = "checkmark_diff"
NEUTRAL = "neutral"
OVERLAP_RESPONSE = "overlap_response"
OVERLAP_PROMPT = "overlap_prompt"
IDENTICAL_TEXT = "identical_text"
SIMILAR_TEXT = "similar_text"
LENGTH_CALIPER = "length_caliper"

KEYS = {
    RATING_MISSING: "use a corpus with ratings: a pair needs one on both sides",
    ANSWERS_MISSING: "look at the judge's null rate in scores/judge_report.json, or lower signal.min_answered",
    DECISION: "change decision (null = any), or check that the corpus says how prompts were decided",
    SPLIT_TEST: "lower splits.test of the corpus",
    RATING_DIFF: "lower min_rating_diff",
    CHECKMARK_DIFF: "lower min_checkmark_diff",
    NEUTRAL: "change neutral, or set it to null",
    OVERLAP_RESPONSE: "set overlap_policy: allow, or lower fraction of the SFT dataset",
    OVERLAP_PROMPT: "set overlap_policy: allow or response_disjoint, or lower fraction of the SFT dataset",
    IDENTICAL_TEXT: "look at the corpus: responses to one prompt are copies of each other",
    SIMILAR_TEXT: "raise max_similarity",
    LENGTH_CALIPER: "raise length_caliper, or set it to null",
}


class ContrastiveSpec(Contrastive):
    """A dataset's settings with the signal's threshold on answered items."""

    min_answered: Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class Taken:
    """Responses and prompts that SFT datasets of the same corpus use."""

    responses: frozenset[str] = frozenset()
    prompts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Material:
    """What pairs are made of.

    Attributes:
        scores: of the corpus.
        splits: prompt → split.
        responses: responses.parquet.
        taken: what SFT datasets use.
        prompts: prompts.parquet, for policies that read it.
    """

    scores: Sequence[Score]
    splits: Mapping[str, str]
    responses: Path
    taken: Taken = field(default_factory=Taken)
    prompts: Path | None = None


Refused = tuple[Score, Score, str]


@dataclass
class Pairing:
    """What a policy made of all candidates: the chosen pairs, and every other with its reason.

    Attributes:
        read: candidates.
        facts: what the manifest says besides, as JSON values.
    """

    ranking: Ranking
    refused: list[Refused] = field(default_factory=list)
    read: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    def dropped(self) -> Counter[str]:
        """Return how many candidates each rule removed."""
        return Counter(reason for _, _, reason in self.refused)


Orient = Callable[[Score, Score], tuple[Score, Score]]
TextRefusal = Callable[[Row, Row], tuple[str | None, float, float]]


def oriented(first: Score, second: Score) -> tuple[Score, Score]:
    """Return (chosen, rejected): the higher rating is chosen, equal or unknown ratings go by id."""
    first, second = sorted((first, second), key=lambda score: score.response_id)
    if first.rating is not None and second.rating is not None and second.rating > first.rating:
        return second, first
    return first, second


def id_refusal(chosen: Score, rejected: Score, split: str, spec: ContrastiveSpec, taken: Taken) -> str | None:
    """Return the first rule on ids and scores that a pair breaks, or None."""
    if chosen.rating is None or rejected.rating is None:
        return RATING_MISSING
    ids = {chosen.response_id, rejected.response_id}
    broken = (
        (ANSWERS_MISSING, min(chosen.answered_share, rejected.answered_share) < spec.min_answered),
        (DECISION, spec.decision is not None and chosen.decision != spec.decision),
        (SPLIT_TEST, split == "test"),
        (RATING_DIFF, chosen.rating - rejected.rating < spec.min_rating_diff),
        (CHECKMARK_DIFF, chosen.checkmark_count - rejected.checkmark_count < spec.min_checkmark_diff),
        (NEUTRAL, spec.neutral is not None and not chosen.rating > spec.neutral >= rejected.rating),
        (OVERLAP_PROMPT, spec.overlap_policy == "prompt_disjoint" and chosen.prompt_id in taken.prompts),
        (OVERLAP_RESPONSE, spec.overlap_policy == "response_disjoint" and bool(taken.responses & ids)),
    )
    return next((reason for reason, is_broken in broken if is_broken), None)


def text_refusal(chosen: str, rejected: str, spec: ContrastiveSpec) -> tuple[str | None, float, float]:
    """Return the first rule on texts that a pair breaks (or None), its similarity and its length ratio.

    Similarity is 1 - d / max(length), d the Levenshtein distance, of the normalised texts. The ratio
    is of characters, chosen to rejected.
    """
    one, other = normalised(chosen), normalised(rejected)
    similarity = round(Levenshtein.normalized_similarity(one, other), 6)
    ratio = round(len(chosen) / len(rejected), 6)
    if one == other:
        return IDENTICAL_TEXT, similarity, ratio
    if similarity >= spec.max_similarity:
        return SIMILAR_TEXT, similarity, ratio
    if spec.length_caliper is not None and max(len(chosen), len(rejected)) > spec.length_caliper * min(
        len(chosen), len(rejected)
    ):
        return LENGTH_CALIPER, similarity, ratio
    return None, similarity, ratio


def candidate_pairs(scores: Sequence[Score], orient: Orient = oriented) -> Iterator[tuple[Score, Score]]:
    """Yield every same-prompt pair of responses once, as (chosen, rejected), prompts in the order of their ids."""
    by_prompt = sorted(scores, key=lambda score: (score.prompt_id, score.response_id))
    for _, group in groupby(by_prompt, key=lambda score: score.prompt_id):
        for first, second in combinations(group, 2):
            yield orient(first, second)


def meet_texts(
    survivors: Sequence[tuple[Score, Score]],
    responses: Path,
    columns: Sequence[str],
    refusal: TextRefusal,
    pairing: Pairing,
) -> Iterator[Candidate]:
    """Yield the pairs that pass the rules on texts; the others go to the refused.

    Args:
        survivors: (chosen, rejected), ordered by prompt.
        responses: responses.parquet.
        columns: what the rules read of it.
        refusal: from two such rows to a reason or None, similarity and length ratio.
        pairing: takes the refused.
    """
    if not survivors:
        return
    ids = {score.response_id for pair in survivors for score in pair}
    groups = groupby(survivors, key=lambda pair: pair[0].prompt_id)
    for (prompt_id, pairs), (text_prompt, texts) in zip(
        groups, responses_by_prompt(responses, ids, columns), strict=True
    ):
        assert prompt_id == text_prompt, f"scores say {prompt_id}, responses {text_prompt}"
        for chosen, rejected in pairs:
            reason, similarity, ratio = refusal(texts[chosen.response_id], texts[rejected.response_id])
            if reason is not None:
                pairing.refused.append((chosen, rejected, reason))
                continue
            yield Candidate(chosen, rejected, similarity, ratio)


def contrastive(material: Material, spec: ContrastiveSpec) -> Pairing:
    """Return good and poor responses to the same prompt, at most `max_pairs_per_prompt` of each prompt.

    Raises:
        WinnowError: if no train pair is left, with the funnel and the key to change.
    """
    pairing, splits = Pairing(Ranking()), material.splits
    survivors = []
    for chosen, rejected in candidate_pairs(material.scores):
        pairing.read += 1
        reason = id_refusal(chosen, rejected, split_of(splits, chosen.prompt_id), spec, material.taken)
        if reason is None:
            survivors.append((chosen, rejected))
        else:
            pairing.refused.append((chosen, rejected, reason))

    def refusal(chosen: Row, rejected: Row) -> tuple[str | None, float, float]:
        return text_refusal(chosen["text"], rejected["text"], spec)

    candidates = list(meet_texts(survivors, material.responses, ["text"], refusal, pairing))
    pairing.ranking = rank_pairs(candidates, spec.max_pairs_per_prompt)
    spreads = (("rating_diff", pairing.ranking.rating), ("checkmark_diff", pairing.ranking.checkmarks))
    pairing.facts["spreads"] = {
        name: {"mean": round(of.mean, 6), "deviation": round(of.deviation, 6)} for name, of in spreads
    }
    pairing.refused += [(pair.chosen, pair.rejected, reason) for pair, reason in pairing.ranking.refused]
    if not any(splits[pair.candidate.chosen.prompt_id] == "train" for pair in pairing.ranking.kept):
        raise refuse_empty("contrastive", pairing.read, pairing.dropped(), "same-prompt pairs", KEYS)
    return pairing


def _difference(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else round(left - right, 6)


def chosen_row(pair: RankedPair, split: str) -> Row:
    """Return a row of chosen.parquet."""
    chosen, rejected = pair.candidate.chosen, pair.candidate.rejected
    rating_diff = _difference(chosen.rating, rejected.rating)
    scaled = None if not chosen.scale_width or rating_diff is None else round(rating_diff / chosen.scale_width, 6)
    return {
        "pair_id": pair_id_of(chosen.response_id, rejected.response_id),
        "prompt_id": chosen.prompt_id,
        "split": split,
        "chosen_id": chosen.response_id,
        "rejected_id": rejected.response_id,
        "rating_diff": rating_diff,
        "rating_diff_scaled": scaled,
        "checkmark_diff": chosen.checkmark_count - rejected.checkmark_count,
        "checkmark_score_diff": _difference(chosen.checkmark_score, rejected.checkmark_score),
        "similarity": pair.candidate.similarity,
        "length_ratio": pair.candidate.length_ratio,
        "pair_score": pair.pair_score,
        "rank": pair.rank,
        "reason": "meets every condition and is among the best of its prompt",
    }


def ledger(refused: Sequence[Refused], splits: Mapping[str, str]) -> Iterator[Row]:
    """Yield a ledger row for every candidate that was not chosen."""
    for chosen, rejected, reason in refused:
        yield {
            "chosen_id": chosen.response_id,
            "rejected_id": rejected.response_id,
            "prompt_id": chosen.prompt_id,
            "split": splits[chosen.prompt_id],
            "reason": reason,
        }
