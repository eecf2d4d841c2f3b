"""From ratings to decisions: accept from t on, t being what best tells people's accepted papers from rejected ones.

Scales differ between years, and a rating of 5 does not say the same on each, so every scale has a threshold of its
own. One with too few decided validation papers borrows: all papers are put on [0, 1] by the ends of their scales, one
threshold is fitted for all, and it is carried back.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Scale = tuple[float, ...]
Decision = Literal["accept", "reject"]

MIN_OF_EACH = 10  # accepted and rejected papers that a scale needs for a threshold of its own
FIXED = 6.0


@dataclass(frozen=True)
class RatedPaper:
    """A decided paper: the mean of its human ratings, their scale, and whether it was accepted."""

    rating: float
    scale: Scale
    accepted: bool


@dataclass(frozen=True)
class Threshold:
    """From which rating on a review accepts.

    Attributes:
        scale: the legal ratings that it is for.
        t: the threshold, on that scale.
        fitted_on: "own": the papers of that scale; "all": those of every scale, put on [0, 1].
        papers: how many papers it was fitted on, and `accepted` of them.
        balanced_accuracy: that it reaches on these papers; 0.5 says that ratings tell nothing.
    """

    scale: Scale
    t: float
    fitted_on: Literal["own", "all"]
    papers: int
    accepted: int
    balanced_accuracy: float

    def as_dict(self) -> dict[str, Any]:
        """Return it for a manifest."""
        return asdict(self) | {
            "scale": list(self.scale),
            "t": round(self.t, 6),
            "balanced_accuracy": round(self.balanced_accuracy, 6),
        }


def best_cut(rated: Sequence[tuple[float, bool]]) -> tuple[float, float] | None:
    """Return the rating from which "accept" agrees best with what was decided, and its balanced accuracy.

    Cuts are the ratings that occur. Of equally good ones the smallest is taken, which accepts most.

    Args:
        rated: rating, and whether the paper was accepted.

    Returns:
        None unless there are accepted and rejected papers.
    """
    accepted = [rating for rating, was_accepted in rated if was_accepted]
    rejected = [rating for rating, was_accepted in rated if not was_accepted]
    if not accepted or not rejected:
        return None
    scores = [
        (sum(r >= t for r in accepted) * len(rejected) + sum(r < t for r in rejected) * len(accepted), -t)
        for t in {rating for rating, _ in rated}
    ]
    score, minus_t = max(scores)
    return -minus_t, score / (2 * len(accepted) * len(rejected))


def _on_unit(rating: float, scale: Scale) -> float:
    return (rating - scale[0]) / ((scale[-1] - scale[0]) or 1.0)


def fit_thresholds(papers: Iterable[RatedPaper], scales: Collection[Scale]) -> dict[Scale, Threshold]:
    """Return the threshold of each scale, as the module says.

    Args:
        papers: decided validation papers with human ratings.
        scales: those for which one is wanted.

    Returns:
        Thresholds by scale; without any where no validation paper was accepted or none rejected.
    """
    of_scale: Mapping[Scale, list[tuple[float, bool]]] = defaultdict(list)
    for paper in papers:
        of_scale[paper.scale].append((paper.rating, paper.accepted))
    pooled = [(_on_unit(rating, scale), accepted) for scale in of_scale for rating, accepted in of_scale[scale]]
    found = {}
    for scale in sorted(scales):
        own = of_scale.get(scale, [])
        accepted = sum(was_accepted for _, was_accepted in own)
        enough = min(accepted, len(own) - accepted) >= MIN_OF_EACH or len(own) == len(pooled)
        rated = own if enough else pooled
        if (cut := best_cut(rated)) is not None:
            t = cut[0] if enough else scale[0] + cut[0] * (scale[-1] - scale[0])
            of_all = sum(was_accepted for _, was_accepted in rated)
            found[scale] = Threshold(scale, t, "own" if enough else "all", len(rated), of_all, cut[1])
    return found


def fixed_threshold(scale: Scale) -> float | None:
    """Return 6 on a scale that ends at 8 to 10, as ICLR's do ("marginally above the threshold"), else None."""
    return FIXED if 8 <= scale[-1] <= 10 else None


def decide(rating: float | None, t: float | None) -> Decision | None:
    """Return what a rating decides; None where it could not be read, or there is no threshold."""
    if rating is None or t is None:
        return None
    # A threshold is a mean of ratings or carried from another scale: thirds are not exact.
    return "accept" if rating >= t - 1e-9 else "reject"


def decision_correct(rating: float | None, t: float | None, decision: Decision | None) -> float | None:
    """Return 1 for the venue's decision, 0 for the other one and for an unread rating.

    None where the paper was neither accepted nor rejected, or its scale has no threshold.
    """
    if decision is None or t is None:
        return None
    return float(decide(rating, t) == decision)
