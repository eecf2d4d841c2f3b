"""C8, W1 and W2 for DPO: each pair's margins, the ledger, and the ranking, from source rows."""

import math
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from itertools import groupby
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein

from winnow.core.tables import Row, read_rows
from winnow.datasets.checks import Check
from winnow.datasets.evidence import Evidence
from winnow.datasets.late_text import responses_by_prompt
from winnow.datasets.pair import (
    IDENTICAL_TEXT,
    LENGTH_CALIPER,
    SIMILAR_TEXT,
    ContrastiveSpec,
    Orient,
    Taken,
    candidate_pairs,
    id_refusal,
    oriented,
)
from winnow.datasets.pair_by_label import ByLabelSpec, MinedSpec
from winnow.datasets.pair_policies import PairSpec
from winnow.datasets.rank import PROMPT_FULL, RESPONSE_USED, Candidate, rank_pairs
from winnow.datasets.scores import Score
from winnow.datasets.text import normalised

TOLERANCE = 1e-6
LATER_REASONS = {IDENTICAL_TEXT, SIMILAR_TEXT, LENGTH_CALIPER, PROMPT_FULL, RESPONSE_USED}


IdRefusal = Callable[[Score, Score, str], str | None]


class Sides(NamedTuple):
    """Both responses of a pair, as the source tables have them."""

    chosen: Score
    rejected: Score


def _spec(evidence: Evidence) -> ContrastiveSpec:
    assert isinstance(evidence.spec.policy, ContrastiveSpec)
    return evidence.spec.policy


def sides_of(evidence: Evidence, row: Row) -> Sides | None:
    """Return both responses of a pair, None where one of them is not scored."""
    chosen, rejected = evidence.scored.get(row["chosen_id"]), evidence.scored.get(row["rejected_id"])
    return None if chosen is None or rejected is None else Sides(chosen, rejected)


def margins_repeated(evidence: Evidence, check: Check) -> None:
    """C8: each pair's signed margins, decision, ratings and split meet the settings and are the stored ones."""
    spec = _spec(evidence)
    for row in evidence.chosen:
        name, sides = row["pair_id"], sides_of(evidence, row)
        if sides is None or sides.chosen.rating is None or sides.rejected.rating is None:
            check.expect(False, name, "names a response without a score or a rating")
            continue
        chosen, rejected = sides
        rating_diff = sides.chosen.rating - sides.rejected.rating
        checkmark_diff = chosen.checkmark_count - rejected.checkmark_count
        check.expect(chosen.prompt_id == rejected.prompt_id == row["prompt_id"], name, "is not of one prompt")
        check.expect(rating_diff >= spec.min_rating_diff, name, f"rating_diff recomputed is {rating_diff:g}")
        check.expect(checkmark_diff >= spec.min_checkmark_diff, name, f"checkmark_diff recomputed is {checkmark_diff}")
        for column, true in (("rating_diff", rating_diff), ("checkmark_diff", checkmark_diff)):
            same = row[column] is not None and math.isclose(row[column], true, abs_tol=TOLERANCE)
            check.expect(same, name, f"{column} is {row[column]}, recomputed {true:g}")
        if spec.decision is not None:
            check.expect(chosen.decision == spec.decision, name, f"its prompt was decided {chosen.decision}")
        if spec.neutral is not None:
            holds = sides.chosen.rating > spec.neutral >= sides.rejected.rating
            check.expect(holds, name, f"rated {chosen.rating} and {rejected.rating} about neutral {spec.neutral:g}")
        answered = min(chosen.answered_share, rejected.answered_share)
        check.expect(answered >= spec.min_answered, name, f"only {answered:g} of the items are answered")


def texts_repeated(evidence: Evidence, check: Check) -> None:
    """C8: each pair's source texts differ, by as much as the settings ask, in words and in length."""
    spec = _spec(evidence)
    by_prompt: dict[str, list[Row]] = defaultdict(list)
    for row in evidence.chosen:
        by_prompt[row["prompt_id"]].append(row)
    ids = {name for row in evidence.chosen for name in (row["chosen_id"], row["rejected_id"])} & evidence.scored.keys()
    for prompt_id, texts in responses_by_prompt(evidence.paths.responses, ids, ["text"]) if ids else ():
        for row in by_prompt.get(prompt_id, ()):
            if not {row["chosen_id"], row["rejected_id"]} <= texts.keys():
                continue  # not of one prompt: margins_repeated says so
            chosen, rejected = texts[row["chosen_id"]]["text"], texts[row["rejected_id"]]["text"]
            similarity = Levenshtein.normalized_similarity(normalised(chosen), normalised(rejected))
            check.expect(similarity < spec.max_similarity, row["pair_id"], f"its texts are alike: {similarity:g}")
            same = math.isclose(similarity, row["similarity"], abs_tol=TOLERANCE)
            check.expect(same, row["pair_id"], f"similarity is {row['similarity']}, recomputed {similarity:g}")
            ratio = len(chosen) / len(rejected)
            same = math.isclose(ratio, row["length_ratio"], abs_tol=TOLERANCE)
            check.expect(same, row["pair_id"], f"length_ratio is {row['length_ratio']}, recomputed {ratio:g}")
            if spec.length_caliper is not None:
                holds = max(ratio, 1 / ratio) <= spec.length_caliper
                check.expect(holds, row["pair_id"], f"one text is {max(ratio, 1 / ratio):.3g} times as long")


def taken_by_sft(evidence: Evidence) -> Taken:
    """Return the responses and prompts that SFT datasets of the corpus use; not those of the one that was asked."""
    policy = evidence.spec.policy
    asked = policy.prompts if isinstance(policy, MinedSpec) else None
    rows = [row for name, path in evidence.paths.others.items() if name != asked for row in read_rows(path)]
    sft = [row for row in rows if "response_id" in row]
    return Taken(frozenset(row["response_id"] for row in sft), frozenset(row["prompt_id"] for row in sft))


def pair_spec(evidence: Evidence) -> PairSpec:
    """Return the settings of a dataset of pairs, whatever its policy."""
    assert isinstance(evidence.spec.policy, ContrastiveSpec | ByLabelSpec | MinedSpec)
    return evidence.spec.policy


def overlap_kept(evidence: Evidence, check: Check) -> None:
    """W3: what SFT uses does not occur here, as far as the overlap policy forbids it."""
    spec, taken = pair_spec(evidence), taken_by_sft(evidence)
    if spec.overlap_policy == "allow":
        check.not_applicable = "overlap_policy is allow; C3 reports the overlap"
        return
    for row in evidence.chosen:
        if spec.overlap_policy == "prompt_disjoint":
            check.expect(row["prompt_id"] not in taken.prompts, row["pair_id"], "SFT uses its prompt")
        else:
            used = taken.responses & {row["chosen_id"], row["rejected_id"]}
            check.expect(not used, row["pair_id"], f"SFT uses {', '.join(sorted(used))}")


def pair_limits(evidence: Evidence, check: Check) -> None:
    """W2: at most so many pairs per prompt, each response at most once per side."""
    limit = pair_spec(evidence).max_pairs_per_prompt
    for column, most in (("prompt_id", limit), ("chosen_id", 1), ("rejected_id", 1)):
        for name, count in Counter(row[column] for row in evidence.chosen).items():
            check.expect(count <= most, name, f"occurs {count} times as {column}, allowed {most}")


def ledger_complete(evidence: Evidence, check: Check) -> None:
    """W1: every same-prompt pair of scored responses is chosen, or in the ledger with the reason that is true."""
    spec, taken = _spec(evidence), taken_by_sft(evidence)

    def refusal(chosen: Score, rejected: Score, split: str) -> str | None:
        return id_refusal(chosen, rejected, split, spec, taken)

    every_pair_once(evidence, check, oriented, refusal, LATER_REASONS)


def every_pair_once(
    evidence: Evidence, check: Check, orient: Orient, refusal: IdRefusal, later_reasons: Collection[str]
) -> None:
    """Check that chosen and ledger hold every same-prompt pair of scored responses once, with the true reason.

    Args:
        evidence: of the dataset.
        check: takes the findings.
        orient: says which of two responses is the chosen one.
        refusal: from chosen, rejected and split to the first rule on ids and scores that is broken.
        later_reasons: that a pair which breaks none of them may have.
    """
    stated = {(row["chosen_id"], row["rejected_id"]): "" for row in evidence.chosen}
    ids = {name: name for name in evidence.scored}  # one text per id, however many pairs name it
    for row in read_rows(evidence.paths.ledger):
        chosen_id, rejected_id = str(row["chosen_id"]), str(row["rejected_id"])
        pair = ids.get(chosen_id, chosen_id), ids.get(rejected_id, rejected_id)
        check.expect(pair not in stated, "/".join(pair), "is in the ledger twice, or chosen as well")
        stated[pair] = sys.intern(row["reason"])
    del ids
    for chosen, rejected in candidate_pairs(list(evidence.scored.values()), orient):
        reason = stated.pop((chosen.response_id, rejected.response_id), None)
        split = evidence.split_of(chosen.prompt_id) or ""
        wanted = refusal(chosen, rejected, split)
        name = f"{chosen.response_id}/{rejected.response_id}"
        if reason is None:
            check.expect(False, name, "is neither chosen nor in the ledger")
        elif wanted is not None:
            check.expect(reason == wanted, name, f"reason is {reason or 'none: chosen'}, recomputed {wanted}")
        else:
            check.expect(reason in later_reasons or not reason, name, f"reason {reason} does not hold")
    for pair in stated:
        check.fail("/".join(pair), "is in chosen or ledger and is no same-prompt pair, or has its sides turned")


def ranked_candidates(evidence: Evidence, lost: Collection[str] = (PROMPT_FULL, RESPONSE_USED)) -> Iterator[Candidate]:
    """Yield the pairs that met every condition: those chosen, and those that lost, for these reasons, to others."""
    rows = [(row["chosen_id"], row["rejected_id"]) for row in evidence.chosen]
    rows += [
        (row["chosen_id"], row["rejected_id"]) for row in read_rows(evidence.paths.ledger) if row["reason"] in lost
    ]
    known = [pair for pair in rows if set(pair) <= evidence.scored.keys()]
    by_prompt = sorted(known, key=lambda pair: evidence.scored[pair[0]].prompt_id)
    ids = {name for pair in known for name in pair}
    lengths: dict[str, int] = {}
    for _, texts in responses_by_prompt(evidence.paths.responses, ids, ["text"]) if ids else ():
        lengths |= {name: len(row["text"]) for name, row in texts.items()}
    for _, group in groupby(by_prompt, key=lambda pair: evidence.scored[pair[0]].prompt_id):
        for chosen_id, rejected_id in group:
            ratio = round(lengths[chosen_id] / lengths[rejected_id], 6)
            yield Candidate(evidence.scored[chosen_id], evidence.scored[rejected_id], 0.0, ratio)


def ranking_repeated(evidence: Evidence, check: Check) -> None:
    """W4: among the pairs that meet every condition, those with the best pair_score are chosen, ties by pair id."""
    candidates = [c for c in ranked_candidates(evidence) if None not in (c.chosen.rating, c.rejected.rating)]
    ranking = rank_pairs(candidates, _spec(evidence).max_pairs_per_prompt)
    expected = {
        (pair.candidate.chosen.response_id, pair.candidate.rejected.response_id): (pair.rank, pair.pair_score)
        for pair in ranking.kept
    }
    for row in evidence.chosen:
        found, wanted = (row["rank"], row["pair_score"]), expected.pop((row["chosen_id"], row["rejected_id"]), None)
        check.expect(found == wanted, row["pair_id"], f"rank and score are {found}, recomputed {wanted}")
    for pair, (rank, score) in expected.items():
        check.fail("/".join(pair), f"is not chosen, recomputed rank {rank} with score {score:g}")
