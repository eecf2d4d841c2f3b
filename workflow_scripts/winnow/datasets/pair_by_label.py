"""Pairing responses for DPO by labels: the chosen one agrees with its prompt's label, the rejected one does not.

Nothing else may tell the two apart: both are of one template and about as long, and each label is the chosen one
equally often, so that a model cannot learn to say one word always. Of policy mined the rejected one is what a model
said, and the chosen one never is.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field
from rapidfuzz.distance import Levenshtein

from winnow.core.config.datasets import ByLabel, LabelPairs, Mined
from winnow.core.errors import WinnowError
from winnow.core.ids import content_key, unit_interval
from winnow.core.tables import Row, read_rows
from winnow.datasets.funnel import refuse_empty
from winnow.datasets.pair import (
    ANSWERS_MISSING,
    IDENTICAL_TEXT,
    KEYS,
    LENGTH_CALIPER,
    OVERLAP_PROMPT,
    OVERLAP_RESPONSE,
    SPLIT_TEST,
    Material,
    Pairing,
    Taken,
    candidate_pairs,
    meet_texts,
)
from winnow.datasets.rank import RankedPair, Ranking, pair_id_of, rank_by_length
from winnow.datasets.scores import Score, split_of
from winnow.datasets.text import normalised

SOURCE = "source"
SAME_VERDICT = "same_verdict"
NOT_A_MISTAKE = "not_a_mistake"
TEMPLATE = "template"
OTHER_LABEL_RARER = "other_label_rarer"
NO_TWIN = "no_twin"
MAX_PAIRS = "max_pairs"

LABEL_KEYS = KEYS | {
    SOURCE: "change sources: name what the corpus has, or nothing",
    SAME_VERDICT: "set the corpus's key reasons, so that each prompt has a response with either verdict",
    TEMPLATE: "have both responses to a prompt written by one template",
    OTHER_LABEL_RARER: "set balance: false, or use sources and a corpus with prompts of both labels",
    NO_TWIN: "set minimal_pairs: false, or use a corpus whose records name groups with prompts of both labels",
    MAX_PAIRS: "raise max_pairs",
}
_NO_MISTAKES = "the run says the right words here: raise samples, or mine from another run"
MINED_KEYS = LABEL_KEYS | {
    "": _NO_MISTAKES,  # not one answer was another than the right word
    ANSWERS_MISSING: "train the run until it answers with the corpus's words, or mine from another one",
    SAME_VERDICT: _NO_MISTAKES,
    NOT_A_MISTAKE: _NO_MISTAKES,
    OTHER_LABEL_RARER: "set balance: false: the run errs on prompts of one label only",
    LENGTH_CALIPER: "raise length_caliper, or set it to null: the run says more than a word",
}

_SALT = "by_label"
COLUMNS = ("text", "source", "author_kind")  # what the rules on texts read


class ByLabelSpec(ByLabel):
    """A dataset's settings with the signal's threshold on answered items."""

    min_answered: Annotated[float, Field(gt=0, le=1)]


class MinedSpec(Mined):
    """A dataset's settings with the signal's threshold on answered items."""

    min_answered: Annotated[float, Field(gt=0, le=1)]


LabelPairsSpec = ByLabelSpec | MinedSpec


class Facts(NamedTuple):
    """What the prompts table says of a prompt."""

    label: str | None
    source: str
    group: str | None


def read_facts(prompts: Path) -> dict[str, Facts]:
    """Return prompt → label, source and the group that its record names."""
    rows = read_rows(prompts, ["prompt_id", "label", "source", "group"])
    return {row["prompt_id"]: Facts(row["label"], row["source"], row["group"]) for row in rows}


def oriented_by_checkmarks(first: Score, second: Score) -> tuple[Score, Score]:
    """Return (chosen, rejected): the one with more checkmarks is chosen, equal ones go by id."""
    first, second = sorted((first, second), key=lambda score: score.response_id)
    return (second, first) if second.checkmark_count > first.checkmark_count else (first, second)


def is_mistake(chosen: Score, rejected: Score) -> bool:
    """Say whether a model said the rejected response, and not the chosen one."""
    return rejected.author_kind == "model" and chosen.author_kind != "model"


def label_refusal(
    chosen: Score, rejected: Score, split: str, source: str, *, spec: LabelPairsSpec, taken: Taken
) -> str | None:
    """Return the first rule on ids and scores that a pair breaks, or None."""
    ids = {chosen.response_id, rejected.response_id}
    broken = (
        (ANSWERS_MISSING, min(chosen.answered_share, rejected.answered_share) < spec.min_answered),
        (SOURCE, bool(spec.sources) and source not in spec.sources),
        (SPLIT_TEST, split == "test"),
        (SAME_VERDICT, not chosen.is_right or rejected.checkmark_count > 0),
        (NOT_A_MISTAKE, isinstance(spec, Mined) and not is_mistake(chosen, rejected)),
        (OVERLAP_PROMPT, spec.overlap_policy == "prompt_disjoint" and chosen.prompt_id in taken.prompts),
        (OVERLAP_RESPONSE, spec.overlap_policy == "response_disjoint" and bool(taken.responses & ids)),
    )
    return next((reason for reason, is_broken in broken if is_broken), None)


def template_of(response: Row) -> str | None:
    """Return the template that a response was written by, None if it was not."""
    return str(response["source"]) if response["author_kind"] == "template" else None


def label_text_refusal(chosen: Row, rejected: Row, spec: LabelPairsSpec) -> tuple[str | None, float, float]:
    """Return the first rule on texts that a pair breaks (or None), its similarity and its length ratio."""
    one, other = normalised(chosen["text"]), normalised(rejected["text"])
    lengths = len(chosen["text"]), len(rejected["text"])
    broken = (
        (IDENTICAL_TEXT, one == other),
        (TEMPLATE, template_of(chosen) != template_of(rejected)),
        (LENGTH_CALIPER, spec.length_caliper is not None and max(lengths) > spec.length_caliper * min(lengths)),
    )
    reason = next((reason for reason, is_broken in broken if is_broken), None)
    similarity = round(Levenshtein.normalized_similarity(one, other), 6)
    return reason, similarity, round(lengths[0] / lengths[1], 6)


def _place(pair: RankedPair) -> tuple[float, str]:
    """Return a pair's place in the draw, which depends on its two responses alone."""
    name = pair_id_of(pair.candidate.chosen.response_id, pair.candidate.rejected.response_id)
    return unit_interval(name, _SALT), name


Undrawn = list[tuple[RankedPair, str]]


def _alike(
    pairs: Sequence[RankedPair], labels: Mapping[str, str | None], names: Sequence[str]
) -> dict[str, list[RankedPair]]:
    """Return pairs by their prompts' labels, of each label in the order of the draw."""
    found: dict[str, list[RankedPair]] = {name: [] for name in names}
    for pair in sorted(pairs, key=_place):
        found[str(labels[pair.candidate.chosen.prompt_id])].append(pair)
    return found


def _strata(
    pairs: Sequence[RankedPair],
    labels: Mapping[str, str | None],
    names: Sequence[str],
    splits: Mapping[str, str],
    *,
    balance: bool,
) -> tuple[list[list[RankedPair]], Undrawn]:
    """Return what is drawn together within each split, and what balance leaves out."""
    by_split: dict[str, list[RankedPair]] = {}
    for pair in pairs:
        by_split.setdefault(splits[pair.candidate.chosen.prompt_id], []).append(pair)
    sets: list[list[RankedPair]] = []
    left: Undrawn = []
    for _, of_split in sorted(by_split.items()):
        strata = _alike(of_split, labels, names)
        if not balance:
            sets += [[pair] for stratum in strata.values() for pair in stratum]
            continue
        least = min(map(len, strata.values()))
        sets += [[strata[name][place] for name in names] for place in range(least)]
        left += [(pair, OTHER_LABEL_RARER) for stratum in strata.values() for pair in stratum[least:]]
    return sets, left


def _twins(
    pairs: Sequence[RankedPair], labels: Mapping[str, str | None], names: Sequence[str], groups: Mapping[str, str]
) -> tuple[list[list[RankedPair]], Undrawn]:
    """Return a pair of each label for every group that has such, and what has no twin in its group."""
    by_group: dict[str | None, list[RankedPair]] = {}
    for pair in pairs:
        by_group.setdefault(groups.get(pair.candidate.chosen.prompt_id), []).append(pair)
    sets: list[list[RankedPair]] = []
    left: Undrawn = [(pair, NO_TWIN) for pair in by_group.pop(None, [])]
    for _, of_group in sorted(by_group.items()):
        strata = _alike(of_group, labels, names)
        taken = 1 if all(strata.values()) else 0
        if taken:
            sets.append([strata[name][0] for name in names])
        left += [(pair, NO_TWIN) for stratum in strata.values() for pair in stratum[taken:]]
    return sets, left


def drawn(
    pairs: Sequence[RankedPair],
    labels: Mapping[str, str | None],
    splits: Mapping[str, str],
    spec: LabelPairs,
    groups: Mapping[str, str],
) -> Iterator[tuple[RankedPair, str | None]]:
    """Yield each pair with the reason for which it is not taken, or None.

    With `balance` each split has as many pairs of each label as of the rarest one, those with the smallest hashes: the
    k-th pairs of all labels stand and fall together. With `minimal_pairs` a pair of each label from one group does. Of
    such sets `max_pairs` takes as many as it has room for.

    Args:
        pairs: that meet every condition.
        labels: prompt → label, of all prompts: a label without any pair is the rarest one.
        splits: prompt → split.
        spec: the dataset's settings.
        groups: prompt → the group that its record names, for those that name one.
    """
    names = sorted({str(label) for label in labels.values()})
    if spec.minimal_pairs:
        sets, left = _twins(pairs, labels, names, groups)
    else:
        sets, left = _strata(pairs, labels, names, splits, balance=spec.balance)
    yield from left
    sets.sort(key=lambda together: unit_interval(content_key(_place(pair)[1] for pair in together), _SALT))
    together = max(1, len(names)) if spec.balance or spec.minimal_pairs else 1
    room = len(sets) if spec.max_pairs is None else spec.max_pairs // together
    for place, of_set in enumerate(sets):
        yield from ((pair, None if place < room else MAX_PAIRS) for pair in of_set)


def by_label(material: Material, spec: LabelPairsSpec) -> Pairing:
    """Return pairs of a response that agrees with its prompt's label and one that does not, if so asked a model's own.

    Raises:
        WinnowError: if no train pair is left, with the funnel and the key to change.
    """
    if material.prompts is None:
        problem = f"is absent, and {spec.policy} reads labels"
        raise WinnowError("--prompts", problem, "give the corpus's prompts.parquet")
    facts, splits, pairing = read_facts(material.prompts), material.splits, Pairing(Ranking())
    survivors = []
    for chosen, rejected in candidate_pairs(material.scores, oriented_by_checkmarks):
        pairing.read += 1
        split, source = split_of(splits, chosen.prompt_id), facts[chosen.prompt_id].source
        reason = label_refusal(chosen, rejected, split, source, spec=spec, taken=material.taken)
        if reason is None:
            survivors.append((chosen, rejected))
        else:
            pairing.refused.append((chosen, rejected, reason))

    def refusal(chosen: Row, rejected: Row) -> tuple[str | None, float, float]:
        return label_text_refusal(chosen, rejected, spec)

    candidates = list(meet_texts(survivors, material.responses, COLUMNS, refusal, pairing))
    ranking = rank_by_length(candidates, spec.max_pairs_per_prompt)
    pairing.refused += [(pair.chosen, pair.rejected, reason) for pair, reason in ranking.refused]
    labels = {name: fact.label for name, fact in facts.items()}
    groups = {name: fact.group for name, fact in facts.items() if fact.group is not None}
    for pair, not_drawn in drawn(ranking.kept, labels, splits, spec, groups):
        if not_drawn is None:
            pairing.ranking.kept.append(pair)
        else:
            pairing.refused.append((pair.candidate.chosen, pair.candidate.rejected, not_drawn))
    prompts = [pair.candidate.chosen.prompt_id for pair in pairing.ranking.kept]
    if not any(splits[prompt_id] == "train" for prompt_id in prompts):
        keys = MINED_KEYS if isinstance(spec, Mined) else LABEL_KEYS
        raise refuse_empty(spec.policy, pairing.read, pairing.dropped(), "same-prompt pairs", keys)
    pairing.facts = {
        "chosen_by_label": dict(sorted(Counter(str(facts[prompt_id].label) for prompt_id in prompts).items())),
        "chosen_by_source": dict(sorted(Counter(facts[prompt_id].source for prompt_id in prompts).items())),
    }
    return pairing
