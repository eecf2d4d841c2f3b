"""C8 and W1 for SFT: the selection made again, in other words, from single answers and source ratings."""

from collections import Counter
from collections.abc import Collection, Mapping
from decimal import ROUND_FLOOR, Decimal

from winnow.core.ids import sha256_text
from winnow.core.tables import read_rows
from winnow.datasets.checks import Check
from winnow.datasets.evidence import Evidence
from winnow.datasets.scores import Score, raw_scores
from winnow.datasets.select import BELOW_CUT, EveryRightSpec, TopFractionSpec, refusal

TOLERANCE = 1e-6  # to which score rows are rounded


def scores_recounted(evidence: Evidence, check: Check) -> None:
    """C8: each score row says what its answers and the source tables say."""
    for row in raw_scores(evidence.paths.scores, evidence.spec.corpus):
        name, true = row["response_id"], evidence.scored[row["response_id"]]
        for column in ("checkmark_count", "checkmark_max", "rating", "confidence", "decision", "prompt_id"):
            found, wanted = row[column], getattr(true, column)
            check.expect(found == wanted, name, f"{column} is {found}, recomputed {wanted}")
        for column in ("checkmark_score", "answered_share"):
            found, wanted = row[column], getattr(true, column)
            same = found == wanted or (None not in (found, wanted) and abs(found - wanted) <= TOLERANCE)
            check.expect(same, name, f"{column} is {found}, recomputed {wanted}")
        check.expect(set(row["answers"]) == evidence.items, name, "its answers are not to the checklist's items")


def each_once(seen: Counter[str], wanted: Collection[str], check: Check) -> None:
    """Check that every candidate occurs exactly once in chosen and ledger together, and nothing else does."""
    for name in wanted:
        check.expect(seen[name] == 1, name, f"occurs {seen[name]} times in chosen and ledger together")
    for name in seen.keys() - set(wanted):
        check.fail(name, "is in chosen or ledger and is no candidate")


def _best_first(score: Score) -> tuple[float, float, float, str]:
    """Order as docs/methods.md says (Selection); what is unknown counts below all that is known."""
    lowest = float("-inf")
    p_yes = lowest if score.p_yes_mean is None else score.p_yes_mean
    confidence = lowest if score.confidence is None else score.confidence
    return -score.checkmark_count, -p_yes, -confidence, sha256_text(score.response_id)


def selection_repeated(evidence: Evidence, check: Check) -> None:
    """C8: exactly floor(fraction * N) of the eligible are chosen, in the stated order."""
    spec = evidence.spec.policy
    assert isinstance(spec, TopFractionSpec)
    eligible = [
        score
        for score in evidence.scored.values()
        if evidence.split_of(score.prompt_id) in {"train", "val"}
        and score.answered_share >= spec.min_answered
        and not (spec.require_rating and score.rating is None)
    ]
    count = int((Decimal(str(spec.fraction)) * len(eligible)).to_integral_value(ROUND_FLOOR))
    ranks = {score.response_id: rank for rank, score in enumerate(sorted(eligible, key=_best_first)[:count], 1)}
    check.measured |= {"eligible": len(eligible), "expected": count, "chosen": len(evidence.chosen)}
    check.expect(len(evidence.chosen) == count, "chosen", f"has {len(evidence.chosen)} rows, not {count}")
    _ranks_are(ranks, evidence, check)


def every_right_repeated(evidence: Evidence, check: Check) -> None:
    """C8: exactly the train and val responses that meet every item are chosen, in the stated order."""
    assert isinstance(evidence.spec.policy, EveryRightSpec)
    right = [
        score
        for score in evidence.scored.values()
        if evidence.split_of(score.prompt_id) in {"train", "val"}
        and score.answered_share >= evidence.spec.policy.min_answered
        and score.checkmark_score == 1
    ]
    ranks = {score.response_id: rank for rank, score in enumerate(sorted(right, key=_best_first), 1)}
    check.measured |= {"right": len(right), "chosen": len(evidence.chosen)}
    chosen = {row["response_id"] for row in evidence.chosen}
    for name in ranks:
        check.expect(name in chosen, name, "is right and not chosen")
    _ranks_are(ranks, evidence, check)


def _ranks_are(ranks: Mapping[str, int], evidence: Evidence, check: Check) -> None:
    """Check that the chosen have these ranks, and the numbers that ranked them."""
    for row in evidence.chosen:
        name = row["response_id"]
        check.expect(ranks.get(name) == row["rank"], name, f"has rank {row['rank']}, recomputed {ranks.get(name)}")
        true = evidence.scored.get(name)
        for column in ("checkmark_count", "checkmark_max", "confidence"):
            wanted = getattr(true, column, None)
            check.expect(wanted == row[column], name, f"{column} is {row[column]}, recomputed {wanted}")


def ledger_complete(evidence: Evidence, check: Check) -> None:
    """W1: every scored response is chosen, or in the ledger with the reason that is true."""
    spec = evidence.spec.policy
    assert isinstance(spec, TopFractionSpec | EveryRightSpec)
    seen = Counter(row["response_id"] for row in evidence.chosen)
    for row in read_rows(evidence.paths.ledger):
        name, score = row["response_id"], evidence.scored.get(row["response_id"])
        seen[name] += 1
        if score is not None:
            wanted = refusal(score, evidence.split_of(score.prompt_id) or "", spec) or BELOW_CUT
            check.expect(row["reason"] == wanted, name, f"reason is {row['reason']}, recomputed {wanted}")
    each_once(seen, evidence.scored.keys(), check)
