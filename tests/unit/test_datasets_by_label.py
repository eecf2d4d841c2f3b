"""Pairs and selections from labels: every rule at its edge, the draw, and a reason for every other."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datasets_fixtures as made
from winnow.core.errors import WinnowError
from winnow.core.tables import PROMPTS, RESPONSES, write_table
from winnow.datasets.pair import Material, Taken
from winnow.datasets.pair_by_label import ByLabelSpec, by_label, drawn, label_refusal, oriented_by_checkmarks
from winnow.datasets.rank import Candidate, RankedPair
from winnow.datasets.scores import as_score
from winnow.datasets.select import EveryRightSpec, every_right, ledger

SPEC = ByLabelSpec(stage="dpo", corpus="posts", policy="by_label", min_answered=1.0)
SFT = EveryRightSpec(stage="sft", corpus="posts", policy="all", min_answered=1.0)


def score(name, prompt="p0", agrees=True):
    """A score with one item: met, not met, or not answered."""
    answered = agrees is not None
    facts = {"checkmark_count": int(agrees is True), "checkmark_max": int(answered)}
    share = {"answered_share": float(answered), "p_yes": {}, "rating": None, "rating_scale": None}
    return as_score(made.score_row(name, prompt, **facts, **share))


def refused(good, poor, split="train", source="tweet", taken=None, **changes):
    pair = oriented_by_checkmarks(score("a", agrees=poor), score("b", agrees=good))
    return label_refusal(
        *pair, split, source, spec=SPEC.model_copy(update=changes), taken=Taken() if taken is None else taken
    )


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        ({}, None),
        ({"good": None}, "answers_missing"),
        ({"poor": None}, "answers_missing"),
        ({"poor": True}, "same_verdict"),
        ({"good": False}, "same_verdict"),
        ({"split": "test"}, "split_test"),
        ({"split": "val"}, None),
        ({"sources": ("rephrase",)}, "source"),
        ({"sources": ("rephrase", "tweet")}, None),
        ({"overlap_policy": "prompt_disjoint", "taken": Taken(prompts=frozenset({"p0"}))}, "overlap_prompt"),
        ({"overlap_policy": "response_disjoint", "taken": Taken(responses=frozenset({"a"}))}, "overlap_response"),
        ({"taken": Taken(frozenset({"a"}), frozenset({"p0"}))}, None),
    ],
)
def test_each_rule_on_scores(given_, reason):
    assert refused(**{"good": True, "poor": False} | given_) == reason


def test_the_one_that_agrees_is_chosen_whatever_the_order():
    good, poor = score("b", agrees=True), score("a", agrees=False)
    assert oriented_by_checkmarks(good, poor) == oriented_by_checkmarks(poor, good) == (good, poor)


def world(folder, rows):
    """Scores, splits and tables of prompts given as (label, source, split, text that agrees, text that does not)."""
    scores, splits, prompts, responses = [], {}, [], []
    for place, (label, source, split, good, poor) in enumerate(rows):
        name = f"p{place:03}"
        splits[name] = split
        prompts.append(made.prompt_row(name, label=label, source=source))
        for side, text in (("good", good), ("poor", poor)):
            scores.append(score(f"{name}-{side}", name, side == "good"))
            facts = {"author_kind": "template", "source": "reasons/t"} | (text if isinstance(text, dict) else {})
            facts.setdefault("text", text)
            responses.append(made.response_row(f"{name}-{side}", name, **facts))
    write_table(folder / "prompts.parquet", prompts, PROMPTS, ["prompt_id"])
    write_table(folder / "responses.parquet", responses, RESPONSES, ["response_id"])
    return Material(scores, splits, folder / "responses.parquet", prompts=folder / "prompts.parquet")


def test_texts_that_tell_the_side_are_refused(tmp_path):
    plain = ("Yes. It is.", "No. It is.")
    rows = [
        ("sarcastic", "tweet", "train", *plain),
        ("not_sarcastic", "tweet", "train", *plain[::-1]),
        ("sarcastic", "tweet", "train", "Yes.", "yes."),
        ("sarcastic", "tweet", "train", "Yes. It is so.", {"text": "No. It is not.", "source": "reasons/u"}),
        ("sarcastic", "tweet", "train", "Yes. It is, as everybody can see.", "No."),
    ]
    pairing = by_label(world(tmp_path, rows), SPEC)
    why = {chosen.prompt_id: reason for chosen, _, reason in pairing.refused}
    assert why == {"p002": "identical_text", "p003": "template", "p004": "length_caliper"}
    assert pairing.facts["chosen_by_label"] == {"not_sarcastic": 1, "sarcastic": 1}
    assert by_label(world(tmp_path, rows), SPEC.model_copy(update={"length_caliper": 20.0, "balance": False})).read == 5


ROWS = st.lists(
    st.tuples(st.sampled_from(["sarcastic", "not_sarcastic"]), st.sampled_from(["train", "val"])),
    min_size=1,
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(rows=ROWS, balance=st.booleans(), most=st.one_of(st.none(), st.integers(1, 30)))
def test_the_draw_is_balanced_capped_and_blind_to_order(rows, balance, most):
    labels = {f"p{i}": label for i, (label, _) in enumerate(rows)}
    splits = {f"p{i}": split for i, (_, split) in enumerate(rows)}
    pairs = [RankedPair(Candidate(score(f"{p}-a", p), score(f"{p}-b", p, False), 0.5, 1.0), 0.0, 1) for p in labels]
    spec = SPEC.model_copy(update={"balance": balance, "max_pairs": most})
    reasons = {pair.candidate.chosen.prompt_id: why for pair, why in drawn(pairs, labels, splits, spec, {})}
    assert reasons == {
        pair.candidate.chosen.prompt_id: why for pair, why in drawn(pairs[::-1], labels, splits, spec, {})
    }
    assert reasons.keys() == labels.keys()
    taken = [name for name, why in reasons.items() if why is None]
    assert most is None or len(taken) <= most
    counts = Counter((splits[name], labels[name]) for name in taken)
    everything = Counter((splits[name], labels[name]) for name in labels)
    kinds = sorted(set(labels.values()))
    for split in ("train", "val"):
        found = [counts[split, kind] for kind in kinds]
        least = min([everything[split, kind] for kind in kinds], default=0)
        if balance:
            assert len(set(found)) <= 1
            assert most is not None or all(count == least for count in found)
        elif most is None:
            assert found == [everything[split, kind] for kind in kinds]
    if most is not None:  # no more is left out than must be
        room = sum(why in (None, "max_pairs") for why in reasons.values())
        assert len(taken) > min(most, room) - (len(kinds) if balance else 1)


def test_minimal_pairs_are_a_text_and_its_rephrase_both_or_neither():
    labels = {"p0": "sarcastic", "p1": "not_sarcastic", "p2": "sarcastic", "p3": "not_sarcastic", "p4": "sarcastic"}
    labels |= {"p5": "not_sarcastic", "p6": "not_sarcastic"}
    groups = {"p0": "g", "p1": "g", "p2": "h", "p3": "i", "p4": "j", "p5": "j"}  # p6 names none
    splits = {name: "val" if groups.get(name) == "j" else "train" for name in labels}
    pairs = [RankedPair(Candidate(score(f"{p}-a", p), score(f"{p}-b", p, False), 0.5, 1.0), 0.0, 1) for p in labels]

    def reasons(**changes):
        spec = SPEC.model_copy(update={"minimal_pairs": True} | changes)
        return {pair.candidate.chosen.prompt_id: why for pair, why in drawn(pairs, labels, splits, spec, groups)}

    found = reasons()
    assert {name for name, why in found.items() if why is None} == {"p0", "p1", "p4", "p5"}
    assert {found[name] for name in ("p2", "p3", "p6")} == {"no_twin"}
    fewer = reasons(max_pairs=3)
    taken = {name for name, why in fewer.items() if why is None}
    assert taken in ({"p0", "p1"}, {"p4", "p5"})
    assert not [name for name, why in reasons(max_pairs=1).items() if why is None]


def test_no_pairs_names_the_key_to_change(tmp_path):
    rows = [("sarcastic", "tweet", "train", "Yes. It is.", "No. It is.")]
    with pytest.raises(WinnowError, match="name what the corpus has"):
        by_label(world(tmp_path, rows), SPEC.model_copy(update={"sources": ("retweet",)}))
    material = world(tmp_path, rows)
    alike = [score("p000-good", "p000"), score("p000-poor", "p000")]
    agreeing = Material(alike, material.splits, material.responses, prompts=material.prompts)
    with pytest.raises(WinnowError, match="a response with either verdict"):
        by_label(agreeing, SPEC)
    with pytest.raises(WinnowError, match="by_label reads labels"):
        by_label(Material(material.scores, material.splits, material.responses), SPEC)


def test_every_right_response_of_train_and_val_is_chosen_and_the_others_have_reasons():
    scores = [score("a", "p0"), score("b", "p0", False), score("c", "p1"), score("d", "p2"), score("e", "p0", None)]
    splits = {"p0": "train", "p1": "val", "p2": "test"}
    choices = every_right(scores, splits, SFT)
    assert {choice.score.response_id: choice.split for choice in choices} == {"a": "train", "c": "val"}
    assert sorted(choice.rank for choice in choices) == [1, 2]
    why = {row["response_id"]: row["reason"] for row in ledger(scores, splits, SFT, choices)}
    assert why == {"b": "not_right", "d": "split_test", "e": "answers_missing"}
    with pytest.raises(WinnowError, match="look at what the responses say"):
        every_right([score("b", "p0", False)], splits, SFT)
