"""C8, W1, W4 and W10 for pairs made from labels: agreement, texts, the draw, and what templates give away."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping

from rapidfuzz.distance import Levenshtein

from winnow.core.tables import Row, read_rows
from winnow.datasets.checks import Check
from winnow.datasets.evidence import Evidence
from winnow.datasets.late_text import responses_by_prompt
from winnow.datasets.pair import IDENTICAL_TEXT, LENGTH_CALIPER
from winnow.datasets.pair_by_label import (
    COLUMNS,
    MAX_PAIRS,
    NO_TWIN,
    OTHER_LABEL_RARER,
    TEMPLATE,
    ByLabelSpec,
    LabelPairsSpec,
    MinedSpec,
    drawn,
    label_refusal,
    oriented_by_checkmarks,
    read_facts,
    template_of,
)
from winnow.datasets.rank import PROMPT_FULL, RESPONSE_USED, rank_by_length
from winnow.datasets.rules_bias import auc
from winnow.datasets.rules_dpo import TOLERANCE, every_pair_once, ranked_candidates, sides_of, taken_by_sft
from winnow.datasets.scores import Score
from winnow.datasets.text import normalised

LOST = {PROMPT_FULL, RESPONSE_USED, OTHER_LABEL_RARER, NO_TWIN, MAX_PAIRS}
LATER_REASONS = LOST | {IDENTICAL_TEXT, TEMPLATE, LENGTH_CALIPER}

Z_LIMIT = 4.0  # passed by chance by 3 of 100,000 corpora
AUC_TOLERANCE = 0.1  # of the length of templates, about 0.5


def _spec(evidence: Evidence) -> LabelPairsSpec:
    assert isinstance(evidence.spec.policy, ByLabelSpec | MinedSpec)
    return evidence.spec.policy


def agreement_repeated(evidence: Evidence, check: Check) -> None:
    """C8: of each pair the chosen response says its prompt's label and the rejected another, as read from source."""
    spec, facts = _spec(evidence), read_facts(evidence.paths.prompts)
    for row in evidence.chosen:
        name, sides = row["pair_id"], sides_of(evidence, row)
        if sides is None:
            check.expect(False, name, "names a response without a score")
            continue
        same = sides.chosen.prompt_id == sides.rejected.prompt_id == row["prompt_id"]
        check.expect(same, name, "is not of one prompt")
        for side, wanted in (("chosen", "yes"), ("rejected", "no")):
            found = evidence.agreements.get(row[f"{side}_id"])
            check.expect(found == wanted, name, f"{side} agrees with its prompt's label: {found}, not {wanted}")
        difference = sides.chosen.checkmark_count - sides.rejected.checkmark_count
        same = row["checkmark_diff"] == difference
        check.expect(same, name, f"checkmark_diff is {row['checkmark_diff']}, recomputed {difference}")
        if spec.sources:
            source = facts[row["prompt_id"]].source
            check.expect(source in spec.sources, name, f"its prompt is of the source {source}")


def texts_of_pairs(evidence: Evidence) -> dict[str, Row]:
    """Return response → text, source and kind of author, for the responses of pairs."""
    ids = {row[f"{side}_id"] for row in evidence.chosen for side in ("chosen", "rejected")} & evidence.scored.keys()
    found: dict[str, Row] = {}
    for _, rows in responses_by_prompt(evidence.paths.responses, ids, COLUMNS) if ids else ():
        found |= rows
    return found


def texts_repeated(evidence: Evidence, check: Check) -> None:
    """C8: each pair's source texts differ, are of one template, and about as long as each other."""
    spec, texts = _spec(evidence), texts_of_pairs(evidence)
    for row in evidence.chosen:
        chosen, rejected = texts.get(row["chosen_id"]), texts.get(row["rejected_id"])
        if chosen is None or rejected is None:
            continue  # agreement_repeated says so
        name, one, other = row["pair_id"], normalised(chosen["text"]), normalised(rejected["text"])
        check.expect(one != other, name, "its texts are equal")
        templates = template_of(chosen), template_of(rejected)
        check.expect(templates[0] == templates[1], name, f"its sides are of {templates[0]} and {templates[1]}")
        ratio = len(chosen["text"]) / len(rejected["text"])
        if spec.length_caliper is not None:
            holds = max(ratio, 1 / ratio) <= spec.length_caliper
            check.expect(holds, name, f"one text is {max(ratio, 1 / ratio):.3g} times as long")
        true = {"similarity": Levenshtein.normalized_similarity(one, other), "length_ratio": ratio}
        for column, value in true.items():
            same = row[column] is not None and math.isclose(row[column], value, abs_tol=TOLERANCE)
            check.expect(same, name, f"{column} is {row[column]}, recomputed {value:g}")


def ledger_complete(evidence: Evidence, check: Check) -> None:
    """W1: every same-prompt pair of scored responses is chosen, or in the ledger with the reason that is true."""
    spec, taken, facts = _spec(evidence), taken_by_sft(evidence), read_facts(evidence.paths.prompts)

    def refusal(chosen: Score, rejected: Score, split: str) -> str | None:
        source = facts[chosen.prompt_id].source
        return label_refusal(chosen, rejected, split, source, spec=spec, taken=taken)

    every_pair_once(evidence, check, oriented_by_checkmarks, refusal, LATER_REASONS)


def draw_repeated(evidence: Evidence, check: Check) -> None:
    """W4: each split has as many pairs of each label if so asked, and those drawn are the ones whose turn it was."""
    spec = _spec(evidence)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    labels = {str(label) for label in evidence.labels.values()}
    for row in evidence.chosen:
        counts[row["split"]][str(evidence.labels.get(row["prompt_id"]))] += 1
    for split, found in sorted(counts.items()):
        check.measured |= {f"{split}_{label}": found[label] for label in sorted(labels)}
        if spec.balance:
            check.expect(len({found[label] for label in labels}) == 1, split, f"has pairs by label: {dict(found)}")
    if spec.minimal_pairs:
        twins: dict[str | None, set[str]] = defaultdict(set)
        for row in evidence.chosen:
            group = evidence.named_groups.get(row["prompt_id"])
            twins[group].add(str(evidence.labels.get(row["prompt_id"])))
        for group, found_labels in twins.items():
            check.expect(
                group is not None and found_labels == labels, str(group), f"has pairs of {sorted(found_labels)}"
            )
    if spec.max_pairs is not None:
        check.expect(len(evidence.chosen) <= spec.max_pairs, "chosen", f"has more than {spec.max_pairs} pairs")
    ranking = rank_by_length(list(ranked_candidates(evidence, LOST)), spec.max_pairs_per_prompt)
    known = [pair for pair in ranking.kept if evidence.split_of(pair.candidate.chosen.prompt_id) in {"train", "val"}]
    splits = {prompt_id: rows[0].split for prompt_id, rows in evidence.split_rows.items()}
    expected = {
        (pair.candidate.chosen.response_id, pair.candidate.rejected.response_id): (pair.rank, pair.pair_score)
        for pair, reason in drawn(known, evidence.labels, splits, spec, evidence.named_groups)
        if reason is None
    }
    for row in evidence.chosen:
        found_, wanted = (row["rank"], row["pair_score"]), expected.pop((row["chosen_id"], row["rejected_id"]), None)
        check.expect(found_ == wanted, row["pair_id"], f"rank and score are {found_}, recomputed {wanted}")
    for pair_ in expected:
        check.fail("/".join(pair_), "is not chosen, and its turn it was")


def independence_z(counts: Mapping[str, Mapping[str, int]]) -> float | None:
    """Return how far a table of counts is from independence: Pearson's chi-square as a standard normal deviate.

    Args:
        counts: row → column → count.

    Returns:
        The deviate, None where there are fewer than two rows or columns.

    Source: the cube root of Wilson and Hilferty 1931, which makes chi-square nearly normal.
    """
    rows = {row: sum(found.values()) for row, found in counts.items() if sum(found.values())}
    columns: Counter[str] = Counter()
    for found in counts.values():
        columns.update(found)
    columns = +columns
    if len(rows) < 2 or len(columns) < 2:
        return None
    total = sum(rows.values())
    expected = {(row, column): rows[row] * columns[column] / total for row in rows for column in columns}
    chi = math.fsum((counts[row].get(column, 0) - value) ** 2 / value for (row, column), value in expected.items())
    freedom = (len(rows) - 1) * (len(columns) - 1)
    spread = 2 / (9 * freedom)
    return ((chi / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)


def templates_tell_nothing(evidence: Evidence, check: Check) -> None:
    """W10: the template of a pair does not go with its prompt's label, and length does not tell the chosen side."""
    texts = texts_of_pairs(evidence)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    templated = set()
    for row in evidence.chosen:
        template = template_of(texts[row["chosen_id"]]) if row["chosen_id"] in texts else None
        if template is not None:
            templated.add(row["pair_id"])
            counts[template][str(evidence.labels.get(row["prompt_id"]))] += 1
    if not templated:
        check.not_applicable = "no response was written by a template"
        return
    lengths: dict[str, list[int]] = {"chosen": [], "rejected": []}
    for _, path in evidence.paths.rendered():
        for row in read_rows(path, ["pair_id", "chosen_tokens", "rejected_tokens"]):
            if row["pair_id"] in templated:
                for side, values in lengths.items():
                    values.append(row[f"{side}_tokens"])
    z, length = independence_z(counts), auc(lengths["chosen"], lengths["rejected"])
    guessed = sum(max(found.values()) for found in counts.values()) / len(templated)
    check.measured |= {"template_z": z, "template_accuracy": guessed, "length_auc": length}
    check.measured |= {f"{name} {label}": n for name, found in counts.items() for label, n in sorted(found.items())}
    z_said = f"go with labels: chi-square is {z or 0:.1f} deviations from chance (limit {Z_LIMIT:g})"
    check.expect(z is None or z <= Z_LIMIT, "templates", z_said)
    holds = length is None or abs(length - 0.5) <= AUC_TOLERANCE
    length_said = f"tells the chosen side with AUC {length or 0:.3f} (limit 0.5 \u00b1 {AUC_TOLERANCE})"
    check.expect(holds, "length", length_said)
