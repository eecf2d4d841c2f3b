"""C9 and W9: what the choice favours besides what it is meant to favour, and texts that occur twice."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from statistics import fmean, median

from winnow.core.tables import read_rows
from winnow.datasets.checks import Check
from winnow.datasets.drafts import response_ids
from winnow.datasets.evidence import Evidence
from winnow.datasets.late_text import responses_by_prompt
from winnow.datasets.near_duplicates import near_duplicates
from winnow.datasets.scores import raw_scores

AUC_LIMIT = 0.65


def auc(positive: Iterable[float], negative: Iterable[float]) -> float | None:
    """Return the probability that a positive exceeds a negative, ties counted half; None if a side is empty.

    Source: Mann and Whitney 1947; the area under the ROC curve.
    """
    groups: dict[float, list[int]] = defaultdict(lambda: [0, 0])
    for value in positive:
        groups[value][0] += 1
    for value in negative:
        groups[value][1] += 1
    total = [sum(counts[side] for counts in groups.values()) for side in (0, 1)]
    if not all(total):
        return None
    below, won = 0, 0.0
    for value in sorted(groups):
        here = groups[value]
        won += here[0] * (below + here[1] / 2)
        below += here[1]
    return won / (total[0] * total[1])


def _measure(check: Check, name: str, value: float | None) -> None:
    check.measured[name] = value


def sft_bias(evidence: Evidence, check: Check) -> None:
    """C9: how much longer and better rated the chosen responses are than the other eligible ones."""
    taken = {row["response_id"] for row in evidence.chosen}
    lengths: dict[bool, list[float]] = {True: [], False: []}
    ratings: dict[bool, list[float]] = {True: [], False: []}
    for row in raw_scores(evidence.paths.scores, evidence.spec.corpus):
        if evidence.split_of(row["prompt_id"]) in {"train", "val"}:
            check.checked += 1
            chosen = row["response_id"] in taken
            lengths[chosen].append(row["n_tokens"])
            if (rating := evidence.scored[row["response_id"]].rating) is not None:
                ratings[chosen].append(rating)
    if evidence.spec.answers is not None and not lengths[False]:
        check.not_applicable = "every response of train and val is chosen: there are no others to compare with"
        return
    _measure(check, "length_auc", auc(lengths[True], lengths[False]))
    _measure(check, "rating_auc", auc(ratings[True], ratings[False]))
    for name, values in (("length", lengths), ("rating", ratings)):
        for chosen, which in ((True, "chosen"), (False, "other")):
            _measure(check, f"mean_{name}_{which}", fmean(values[chosen]) if values[chosen] else None)
    _warn_if_length_decides(check)


def dpo_bias(evidence: Evidence, check: Check) -> None:
    """C9: whether length alone would tell the chosen from the rejected, and how far the ratings lie apart."""
    chosen, rejected, ratings = [], [], []
    columns = ["chosen_tokens", "rejected_tokens", "chosen_rating", "rejected_rating"]
    for _, path in evidence.paths.rendered():
        for row in read_rows(path, columns):
            check.checked += 1
            chosen.append(row["chosen_tokens"])
            rejected.append(row["rejected_tokens"])
            if None not in (row["chosen_rating"], row["rejected_rating"]):
                ratings.append((row["chosen_rating"], row["rejected_rating"]))
    _measure(check, "length_auc", auc(chosen, rejected))
    if chosen:
        ratios = [one / other for one, other in zip(chosen, rejected, strict=True)]
        wins = [(one > other) + (one == other) / 2 for one, other in zip(chosen, rejected, strict=True)]
        check.measured |= {
            "mean_length_ratio": fmean(ratios),
            "median_length_ratio": median(ratios),
            "length_only_accuracy": fmean(wins),
            "mean_rating_chosen": fmean(one for one, _ in ratings) if ratings else None,
            "mean_rating_rejected": fmean(other for _, other in ratings) if ratings else None,
        }
    _warn_if_length_decides(check)


def _warn_if_length_decides(check: Check) -> None:
    value = check.measured["length_auc"]
    if value is not None and value > AUC_LIMIT:
        check.warn("length_auc", f"is {value:.3f}: a model can learn to be long instead of good (limit {AUC_LIMIT})")


def _texts(evidence: Evidence, split: str) -> Iterator[tuple[str, str]]:
    """Yield id and source text of the responses that are chosen for a split."""
    ids = {name for row in evidence.chosen if row["split"] == split for name in response_ids(row)}
    known = ids & evidence.scored.keys()
    for _, rows in responses_by_prompt(evidence.paths.responses, known, ["text"]) if known else ():
        for name, row in rows.items():
            yield name, row["text"]


def no_duplicates_across_splits(evidence: Evidence, check: Check) -> None:
    """W9: no response of train is nearly the same text as one of val."""
    if evidence.spec.answers is not None:
        check.not_applicable = "responses are answers to labels: the same words answer many prompts"
        return
    for name, alike in near_duplicates(_texts(evidence, "val"), _texts(evidence, "train")):
        check.checked += 1
        for other, value in alike:
            check.fail(name, f"of train is {value:.0%} the text of {other} of val")
