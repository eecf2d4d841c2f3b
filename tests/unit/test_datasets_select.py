"""Which responses are chosen for SFT: the exact number, the order, and a reason for every other."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datasets_fixtures as made
from winnow.core.errors import WinnowError
from winnow.core.ids import sha256_text
from winnow.core.tables import read_rows
from winnow.datasets.scores import as_score, read_scores
from winnow.datasets.select import POLICIES, TopFractionSpec, exact_floor, ledger, top_fraction

SPEC = TopFractionSpec(stage="sft", corpus="papers", policy="top_fraction", fraction=0.5, min_answered=0.9)


def scores_of(*rows):
    return [as_score(row) for row in rows]


def chosen_ids(scores, spec=SPEC, splits=None):
    return [choice.score.response_id for choice in top_fraction(scores, splits or {"p0": "train"}, spec)]


def reasons(scores, spec=SPEC, splits=None):
    splits = splits or {"p0": "train"}
    choices = top_fraction(scores, splits, spec)
    return {row["response_id"]: row["reason"] for row in ledger(scores, splits, spec, choices)}


@pytest.mark.parametrize(
    ("fraction", "count", "expected"),
    [
        (0.2, 4682, 936),  # the published number
        (0.2, 4, 0),
        (0.2, 5, 1),
        (0.29, 100, 29),  # 0.29 * 100 is 28.999999999999996 as a float
        (0.1, 30, 3),  # 0.1 * 3 is more than 0.3 as a float
        (1.0, 7, 7),
    ],
)
def test_the_floor_is_that_of_the_number_as_written(fraction, count, expected):
    assert exact_floor(fraction, count) == expected


def test_order_is_count_then_p_yes_then_confidence_then_hash():
    rows = [
        made.score_row("worst", yes=5, confidence=5.0),
        made.score_row("unsure", yes=6, confidence=1.0),
        made.score_row("no_confidence", yes=6, confidence=None),
        made.score_row("sure", yes=6, confidence=4.0),
        made.score_row("likely", yes=6, confidence=1.0, p_yes={"q00": 0.99}),
        made.score_row("no_p_yes", yes=6, confidence=5.0, p_yes={"q00": None}),
        made.score_row("best", yes=7, confidence=None, p_yes={}),
    ]
    everything = SPEC.model_copy(update={"fraction": 1.0})
    order = ["best", "likely", "sure", "unsure", "no_confidence", "no_p_yes", "worst"]
    assert chosen_ids(scores_of(*rows), everything) == order


def test_ties_at_the_edge_go_by_the_hash_of_the_id_whatever_the_order_of_rows():
    rows = scores_of(*(made.score_row(f"r{i}") for i in range(8)))
    expected = sorted((f"r{i}" for i in range(8)), key=sha256_text)[:4]
    assert chosen_ids(rows) == chosen_ids(rows[::-1]) == expected


def test_each_response_that_is_not_chosen_has_its_reason():
    splits = {"p0": "train", "p1": "test", "p2": "val"}
    rows = scores_of(
        made.score_row("best", yes=9),
        made.score_row("second", "p2", yes=8),
        made.score_row("third", yes=7),
        made.score_row("fourth", yes=6),
        made.score_row("held_out", "p1", yes=12),
        made.score_row("unrated", yes=12, rating=None),
        made.score_row("unanswered", yes=10, answered=10),  # 10 of 12 is below 0.9
        made.score_row("barely", yes=1, answered=11),  # 11 of 12 is above
    )
    assert reasons(rows, splits=splits) == {
        "third": "below_cut",
        "fourth": "below_cut",
        "barely": "below_cut",
        "held_out": "split_test",
        "unrated": "rating_missing",
        "unanswered": "answers_missing",
    }  # five are eligible, floor(0.5 * 5) = 2 are taken


def test_a_rating_is_needed_only_where_the_settings_say_so():
    rows = scores_of(made.score_row("unrated", yes=12, rating=None), made.score_row("rated", yes=1))
    assert chosen_ids(rows, SPEC.model_copy(update={"require_rating": False})) == ["unrated"]


@pytest.mark.parametrize(
    ("changes", "fraction", "key"),
    [
        ({"rating": None}, 0.5, "require_rating"),
        ({"answered": 3}, 0.5, "min_answered"),
        ({"prompt_id": "p1"}, 0.5, "splits.test"),
        ({}, 0.1, "raise fraction"),
    ],
)
def test_nothing_chosen_names_what_removed_it_and_the_key_to_change(changes, fraction, key):
    rows = scores_of(*(made.score_row(f"r{i}", **{"yes": 2} | changes) for i in range(3)))
    splits = {"p0": "train", "p1": "test"}
    with pytest.raises(WinnowError, match="of 3 scored responses") as error:
        top_fraction(rows, splits, SPEC.model_copy(update={"fraction": fraction}))
    assert key in str(error.value)


def test_a_scored_prompt_without_a_split_is_an_error():
    with pytest.raises(WinnowError, match="in no split"):
        top_fraction(scores_of(made.score_row("r0")), {}, SPEC)


@pytest.mark.parametrize(
    ("line", "said"),
    [("{", "line 2"), ('{"corpus": "papers"}', "is not a score row"), ('{"no": 1}', "line 2")],
)
def test_a_bad_score_line_is_named(tmp_path, line, said):
    path = made.write_scores(tmp_path / "scores.jsonl", [made.score_row("r0")])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(WinnowError, match=said):
        read_scores(path, "papers")


def test_a_response_scored_twice_and_an_absent_corpus_are_errors(tmp_path):
    path = made.write_scores(tmp_path / "scores.jsonl", [made.score_row("r0"), made.score_row("r0")])
    with pytest.raises(WinnowError, match="r0 is scored twice"):
        read_scores(path, "papers")
    with pytest.raises(WinnowError, match="no rows of corpus 'other'"):
        read_scores(path, "other")


def test_a_policy_is_a_function_in_a_table():
    assert POLICIES["top_fraction"] is top_fraction


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 12), st.integers(0, 12), st.booleans(), st.sampled_from(["p0", "p1", "p2"])),
        min_size=1,
        max_size=40,
    ),
    fraction=st.sampled_from([0.1, 0.2, 0.29, 0.5, 1.0]),
)
def test_the_number_is_exact_and_nothing_is_lost(rows, fraction):
    scores = scores_of(
        *(
            made.score_row(f"r{i}", prompt, yes=min(yes, answered), answered=answered, rating=6.0 if rated else None)
            for i, (yes, answered, rated, prompt) in enumerate(rows)
        )
    )
    splits, spec = {"p0": "train", "p1": "val", "p2": "test"}, SPEC.model_copy(update={"fraction": fraction})
    eligible = [s for s in scores if splits[s.prompt_id] != "test" and s.rating is not None and s.answered_share >= 0.9]
    try:
        choices = top_fraction(scores, splits, spec)
    except WinnowError:
        return
    taken = {choice.score.response_id for choice in choices}
    assert len(taken) == len(choices) == exact_floor(fraction, len(eligible))
    left = {row["response_id"] for row in ledger(scores, splits, spec, choices)}
    assert taken | left == {score.response_id for score in scores}
    assert not taken & left
    lowest = min(choice.score.checkmark_count for choice in choices)
    assert all(s.checkmark_count <= lowest for s in eligible if s.response_id not in taken)


def test_the_script_writes_equal_bytes_for_shuffled_rows_and_counts_that_add_up(tmp_path):
    corpus = made.Corpus(tmp_path / "a")
    first = made.choose("sft", corpus.write(), tmp_path / "a")
    corpus.scores.reverse()
    second = made.choose("sft", corpus.write(), tmp_path / "b")
    for name in ("chosen", "ledger"):
        assert first[name].read_bytes() == second[name].read_bytes()
    counts = json.loads(first["manifest"].read_text())["counts"]["responses"]
    assert counts["read"] == len(corpus.scores) == counts["kept"] + sum(counts["dropped"].values())
    assert {row["split"] for row in read_rows(first["chosen"])} == {"train", "val"}
    assert str(tmp_path) not in first["manifest"].read_text()
