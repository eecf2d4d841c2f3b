"""Which responses are paired for DPO: every rule at its edge, and a reason for every other pair."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datasets_fixtures as made
from winnow.core.errors import WinnowError
from winnow.core.tables import RESPONSES, read_rows, write_table
from winnow.datasets.pair import (
    ContrastiveSpec,
    Material,
    Taken,
    candidate_pairs,
    contrastive,
    id_refusal,
    oriented,
    text_refusal,
)
from winnow.datasets.rank import Candidate, pair_id_of, rank_pairs, take
from winnow.datasets.scores import as_score

SPEC = ContrastiveSpec(stage="dpo", corpus="papers", policy="contrastive", min_answered=0.9)


def score(name="a", prompt="p0", **changes):
    return as_score(made.score_row(name, prompt, **changes))


def refused(good, poor, split="train", taken=None, **settings_):
    chosen, rejected = oriented(score("good", **good), score("poor", **poor))
    return id_refusal(chosen, rejected, split, SPEC.model_copy(update=settings_), taken or Taken())


GOOD, POOR = {"rating": 8.0, "yes": 8}, {"rating": 5.0, "yes": 4}


@pytest.mark.parametrize(
    ("good", "poor", "settings_", "reason"),
    [
        (GOOD, POOR, {}, None),
        # rating: exactly 2 apart is enough, just under is not, equal is not, and neither is the other direction
        (GOOD | {"rating": 7.0}, POOR, {}, None),
        (GOOD | {"rating": 6.9}, POOR, {}, "rating_diff"),
        (GOOD | {"rating": 5.0}, POOR, {}, "rating_diff"),
        # checkmarks: exactly 2, just under, equal, and more checkmarks on the lower rating
        (GOOD | {"yes": 6}, POOR, {}, None),
        (GOOD | {"yes": 5}, POOR, {}, "checkmark_diff"),
        (GOOD | {"yes": 4}, POOR, {}, "checkmark_diff"),
        (GOOD | {"yes": 1}, POOR, {}, "checkmark_diff"),
        (GOOD | {"yes": 4}, POOR, {"min_checkmark_diff": 0}, None),
        # both conditions apart: each alone is not enough
        (GOOD | {"rating": 6.0, "yes": 12}, POOR, {}, "rating_diff"),
        (GOOD | {"rating": 10.0, "yes": 5}, POOR, {}, "checkmark_diff"),
        # missing is missing, on either side
        (GOOD | {"rating": None}, POOR, {}, "rating_missing"),
        (GOOD, POOR | {"rating": None}, {}, "rating_missing"),
        (GOOD | {"answered": 10}, POOR, {}, "answers_missing"),
        (GOOD, POOR | {"answered": 10}, {}, "answers_missing"),
        # neutral: chosen above 5, rejected at 5 or below
        (GOOD | {"rating": 5.0}, POOR | {"rating": 3.0}, {}, "neutral"),
        (GOOD | {"rating": 8.0}, POOR | {"rating": 6.0}, {}, "neutral"),
        (GOOD | {"rating": 6.0}, POOR | {"rating": 3.0}, {}, None),
        (GOOD | {"rating": 8.0}, POOR | {"rating": 6.0}, {"neutral": None}, None),
        # decision
        (GOOD | {"decision": "reject"}, POOR | {"decision": "reject"}, {}, "decision"),
        (GOOD | {"decision": None}, POOR | {"decision": None}, {}, "decision"),
        (GOOD | {"decision": "workshop"}, POOR | {"decision": "workshop"}, {}, "decision"),
        (GOOD | {"decision": "reject"}, POOR | {"decision": "reject"}, {"decision": None}, None),
        (GOOD | {"decision": "reject"}, POOR | {"decision": "reject"}, {"decision": "reject"}, None),
    ],
)
def test_rules_on_scores(good, poor, settings_, reason):
    assert refused(good, poor, **settings_) == reason


def test_held_out_prompts_are_not_paired():
    assert refused(GOOD, POOR, split="test") == "split_test"
    assert refused(GOOD, POOR, split="val") is None


@pytest.mark.parametrize(
    ("policy", "taken", "reason"),
    [
        ("allow", Taken(frozenset({"good"}), frozenset({"p0"})), None),
        ("response_disjoint", Taken(frozenset({"good"}), frozenset({"p0"})), "overlap_response"),
        ("response_disjoint", Taken(frozenset({"poor"}), frozenset({"p0"})), "overlap_response"),
        ("response_disjoint", Taken(frozenset({"third"}), frozenset({"p0"})), None),
        ("prompt_disjoint", Taken(frozenset({"third"}), frozenset({"p0"})), "overlap_prompt"),
        ("prompt_disjoint", Taken(frozenset(), frozenset({"p1"})), None),
    ],
)
def test_overlap_with_sft(policy, taken, reason):
    assert refused(GOOD, POOR, taken=taken, overlap_policy=policy) == reason


def test_the_higher_rating_is_chosen_and_ties_go_by_id():
    high, low = score("z", rating=8.0), score("a", rating=3.0)
    assert oriented(low, high) == oriented(high, low) == (high, low)
    one, other = score("a", rating=6.0), score("b", rating=6.0)
    assert oriented(other, one) == (one, other)


BASE = "one two three four five six seven eight nine ten "


@pytest.mark.parametrize(
    ("chosen", "rejected", "settings_", "reason"),
    [
        (BASE, "Ｏne  TWO three four five six seven eight nine ten\n", {}, "identical_text"),  # by NFKC, case, space
        ("x" * 90 + "y" * 10, "x" * 90 + "z" * 10, {}, "similar_text"),  # exactly 0.9
        ("x" * 89 + "y" * 11, "x" * 89 + "z" * 11, {}, None),  # just under
        ("a" * 150, "b" * 100, {"length_caliper": 1.5}, None),  # exactly 1.5 times as long
        ("a" * 151, "b" * 100, {"length_caliper": 1.5}, "length_caliper"),
        ("b" * 100, "a" * 151, {"length_caliper": 1.5}, "length_caliper"),
        ("a" * 900, "b" * 100, {}, None),
    ],
)
def test_rules_on_texts(chosen, rejected, settings_, reason):
    assert text_refusal(chosen, rejected, SPEC.model_copy(update=settings_))[0] == reason


def test_every_same_prompt_pair_is_a_candidate_once_and_none_with_itself():
    scores = [score(f"{prompt}-{k}", prompt) for prompt in ("p0", "p1") for k in range(4)]
    pairs = [frozenset({chosen.response_id, rejected.response_id}) for chosen, rejected in candidate_pairs(scores)]
    assert len(pairs) == len(set(pairs)) == 12
    assert all(len(pair) == 2 and len({name[:2] for name in pair}) == 1 for pair in pairs)


def candidate(chosen, rejected, rating=3.0, checkmarks=3, ratio=1.0, prompt="p0"):
    return Candidate(
        score(chosen, prompt, rating=5.0 + rating, yes=2 + checkmarks),
        score(rejected, prompt, rating=5.0, yes=2),
        0.1,
        ratio,
    )


def kept(ranking):
    return [(pair.candidate.chosen.response_id, pair.candidate.rejected.response_id) for pair in ranking.kept]


def test_wide_margins_come_first_and_unequal_lengths_last():
    rows = [
        candidate("c1", "r1", rating=2),
        candidate("c2", "r2", rating=5),
        candidate("c3", "r3", rating=5, checkmarks=6),
        candidate("c4", "r4", rating=5, checkmarks=6, ratio=1.2),
        candidate("c5", "r5", rating=5, checkmarks=6, ratio=1 / 1.1),
    ]
    assert kept(rank_pairs(rows, 9)) == [("c3", "r3"), ("c5", "r5"), ("c4", "r4"), ("c2", "r2"), ("c1", "r1")]


def test_the_score_is_by_hand_what_the_formula_says():
    # rating margins 2 and 4: mean 3, deviation 1; checkmark margins 2 and 6: mean 4, deviation 2; log 2 = 0.693147181
    ranking = rank_pairs([candidate("a", "b", 2, 2, 2.0), candidate("c", "d", 4, 6, 0.5)], 9)
    assert [pair.pair_score for pair in ranking.kept] == [1.306852819, -2.693147181]


def test_a_response_is_used_once_per_side_and_a_prompt_gives_two_pairs():
    rows = [
        candidate("best", "worst", 5, 5),  # taken first
        candidate("best", "poor", 4, 4),  # best is used as chosen
        candidate("good", "worst", 4, 4),  # worst is used as rejected
        candidate("good", "poor", 3, 3),  # taken second
        candidate("fair", "weak", 2, 2),  # the prompt is full
        candidate("fair", "weak", 2, 2, prompt="p1"),  # another prompt
    ]
    ranking = rank_pairs(rows, 2)
    assert kept(ranking) == [("best", "worst"), ("good", "poor"), ("fair", "weak")]
    assert [pair.rank for pair in ranking.kept] == [1, 2, 1]
    assert Counter(reason for _, reason in ranking.refused) == {"response_used": 2, "prompt_full": 1}


def test_a_response_may_be_chosen_in_one_pair_and_rejected_in_another():
    assert take([("a", "b"), ("b", "c")], 2) == [None, None]


def test_ties_go_by_pair_id_whatever_the_order():
    rows = [candidate(f"c{i}", f"r{i}") for i in range(6)]
    expected = sorted(((f"c{i}", f"r{i}") for i in range(6)), key=lambda pair: pair_id_of(*pair))[:2]
    assert kept(rank_pairs(rows, 2)) == kept(rank_pairs(rows[::-1], 2)) == expected


def test_pair_ids_tell_sides_and_boundaries_apart():
    assert len({pair_id_of("ab", "c"), pair_id_of("a", "bc"), pair_id_of("c", "ab")}) == 3


def responses_table(path, scores, text=None):
    rows = (made.response_row(s.response_id, s.prompt_id, text=text or made.words(s.response_id, 40)) for s in scores)
    write_table(path, rows, RESPONSES, ["response_id"])
    return path


@pytest.mark.parametrize(
    ("changes", "spec", "key"),
    [
        ({"decision": "reject"}, {}, "change decision"),
        ({}, {"min_rating_diff": 9.0}, "lower min_rating_diff"),
        ({"yes": 6}, {}, "lower min_checkmark_diff"),
        ({}, {"neutral": 9.0}, "change neutral"),
        ({"text": made.words("same", 50)}, {}, "copies of each other"),
    ],
)
def test_no_pairs_names_what_removed_them_and_the_key_to_change(tmp_path, changes, spec, key):
    text = changes.pop("text", None) if "text" in changes else None
    scores = [score("a", **{"rating": 8.0, "yes": 9} | changes), score("b", **{"rating": 3.0, "yes": 2} | changes)]
    table = responses_table(tmp_path / "responses.parquet", scores, text)
    with pytest.raises(WinnowError, match="of 1 same-prompt pairs") as error:
        contrastive(Material(scores, {"p0": "train"}, table), SPEC.model_copy(update=spec))
    assert key in str(error.value)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from([None, 1.0, 3.0, 4.9, 5.0, 6.0, 6.9, 7.0, 8.0, 10.0]),
            st.integers(0, 12),
            st.sampled_from([made.ITEMS, 10]),
        ),
        max_size=14,
    ),
    limit=st.integers(1, 3),
)
def test_no_kept_pair_ever_breaks_a_rule(tmp_path_factory, rows, limit):
    scores = [
        score(f"r{i:02}", f"p{prompt}", rating=rating, yes=min(yes, answered), answered=answered)
        for i, (prompt, rating, yes, answered) in enumerate(rows)
    ]
    folder = tmp_path_factory.mktemp("pairs")
    table = responses_table(folder / "responses.parquet", scores)
    splits = {"p0": "train", "p1": "val", "p2": "test"}
    try:
        pairing = contrastive(Material(scores, splits, table), SPEC.model_copy(update={"max_pairs_per_prompt": limit}))
    except WinnowError:
        return
    pairs = [(pair.candidate.chosen, pair.candidate.rejected) for pair in pairing.ranking.kept]
    for chosen, rejected in pairs:
        assert chosen.prompt_id == rejected.prompt_id
        assert splits[chosen.prompt_id] != "test"
        assert chosen.rating - rejected.rating >= 2
        assert chosen.checkmark_count - rejected.checkmark_count >= 2
        assert chosen.rating > 5 >= rejected.rating
        assert min(chosen.answered_share, rejected.answered_share) >= 0.9
    assert max(Counter(chosen.prompt_id for chosen, _ in pairs).values()) <= limit
    assert max(Counter(chosen.response_id for chosen, _ in pairs).values()) == 1
    assert max(Counter(rejected.response_id for _, rejected in pairs).values()) == 1
    everything = [frozenset({a.response_id, b.response_id}) for a, b in pairs]
    everything += [frozenset({a.response_id, b.response_id}) for a, b, _ in pairing.refused]
    assert len(everything) == len(set(everything)) == pairing.read == len(list(candidate_pairs(scores)))


def test_the_script_writes_equal_bytes_for_shuffled_rows_and_counts_that_add_up(tmp_path):
    corpus = made.Corpus(tmp_path / "a")
    first = made.choose("dpo", corpus.write(), tmp_path / "a")
    corpus.scores.sort(key=lambda row: made.words(row["response_id"], 3))
    corpus.responses.reverse()
    second = made.choose("dpo", corpus.write(), tmp_path / "b")
    for name in ("chosen", "ledger"):
        assert first[name].read_bytes() == second[name].read_bytes()
    counts = json.loads(first["manifest"].read_text())["counts"]["pairs"]
    assert counts["read"] == 40 * 6 == counts["kept"] + sum(counts["dropped"].values())
    assert counts["kept"] > 10


def test_the_script_keeps_clear_of_sft_where_it_is_told_to(tmp_path):
    paths = made.Corpus(tmp_path).write()
    sft = made.choose("sft", paths, tmp_path / "sft")["chosen"]
    used = {row["response_id"] for row in read_rows(sft)}
    inputs = {name: paths[name] for name in ("scores", "splits", "responses")}
    pairs = {}
    for policy in ("allow", "response_disjoint"):
        out = {name: tmp_path / policy / f"{name}.parquet" for name in ("chosen", "ledger", "manifest")}
        spec = made.DPO_SPEC | {"overlap_policy": policy}
        made.run_script("pair_responses", spec=spec, sft=[f"sft={sft}"], **inputs, **out)
        pairs[policy] = {name for row in read_rows(out["chosen"]) for name in (row["chosen_id"], row["rejected_id"])}
    assert pairs["allow"] & used
    assert pairs["response_disjoint"]
    assert not pairs["response_disjoint"] & used
