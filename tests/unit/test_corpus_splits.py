"""Near-duplicates share a group, groups are whole in a split, and nothing but ids, texts and salt decides."""

import itertools
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_fixtures import words
from winnow.core.config.corpora import Splits
from winnow.core.tables import PROMPTS, read_rows, write_table
from winnow.corpus.duplicates import Groups, jaccard, may_be_alike, normalised, proposals, shingles, sketch
from winnow.corpus.splits import draw, group_prompts, split_prompts


def table(path, prompts):
    """Write prompts given as id → (title, abstract)."""
    rows = [
        dict.fromkeys(PROMPTS.names) | {"prompt_id": key, "title": title, "abstract": abstract}
        for key, (title, abstract) in prompts.items()
    ]
    write_table(path, rows, PROMPTS, ["prompt_id"])
    return path


def grouped(path, prompts, threshold=0.8):
    groups, _ = group_prompts(table(path / "prompts.parquet", prompts), threshold, path)
    return {key: groups.name(key) for key in prompts}


TEXT = words("w", 120)


def test_what_shares_a_group(tmp_path):
    prompts = {
        "b1": ("A method for something", TEXT),
        "a1": ("Another name entirely", TEXT.replace("w60 ", "")),  # one word less: similar
        "c1": (None, TEXT.replace("w0 ", "x0 ", 1).replace("w119", "x119")),  # similar to both
        "d1": ("A METHOD, for: something!", words("d", 90)),  # equal title only
        "e1": ("A method for something else", words("e", 90)),  # neither
        "f1": (None, words("f", 10)),  # short and equal
        "f2": (None, words("f", 10).upper()),
        "g1": (None, words("f", 9)),  # short and nearly equal: says too little
    }
    groups = grouped(tmp_path, prompts)
    assert groups == {"a1": "a1", "b1": "a1", "c1": "a1", "d1": "a1", "e1": "e1", "f1": "f1", "f2": "f1", "g1": "g1"}


def test_the_threshold_is_of_exact_similarity(tmp_path):
    one, other = TEXT, TEXT.replace("w30 ", "x ").replace("w60 ", "y ").replace("w90 ", "z ")
    similarity = jaccard(shingles(one), shingles(other))
    assert similarity == pytest.approx((118 - 9) / (118 + 9))
    prompts = {"a": (None, one), "b": (None, other)}
    assert grouped(tmp_path, prompts, similarity)["b"] == "a"
    assert grouped(tmp_path, prompts, similarity + 1e-9)["b"] == "b"


def test_a_title_that_many_share_is_a_category(tmp_path):
    prompts = {f"p{n}": ("Counting and probability", words(f"q{n}x", 40)) for n in range(9)}
    assert set(grouped(tmp_path, prompts).values()) == set(prompts)


def test_short_titles_do_not_meet_by_accident(tmp_path):
    prompts = {
        "a": ("Deep nets", None),
        "b": ("Deep net", None),
        "c": ("On the use of deep nets for few-shot tasks", None),
    }
    prompts["d"] = ("On the use of deep nets for zero-shot tasks", None)
    assert len(set(grouped(tmp_path, prompts).values())) == 4


def test_likeness_is_found_with_near_certainty():
    """At Jaccard 0.8 a pair is proposed with probability 0.9993, at 0.3 with 0.017."""
    rng = random.Random(5)
    found = Counter()
    for trial in range(300):
        base = [f"t{trial}w{n}" for n in range(80)]
        for kind, changes in (("alike", 3), ("unlike", 20)):
            other = list(base)
            for place in rng.sample(range(80), changes):
                other[place] += "x"
            one, two = shingles(" ".join(base)), shingles(" ".join(other))
            found[kind] += any(sketch(one).keys == sketch(two).keys)
    assert found["alike"] >= 298
    assert found["unlike"] <= 90


@pytest.mark.parametrize(("changes", "may_be"), [(0, True), (3, True), (25, False)])
def test_sketches_rule_out_what_is_far_from_alike(changes, may_be):
    """Of 80 words 3 changed ones leave a Jaccard similarity above 0.79, 25 well below 0.4."""
    rng = random.Random(6)
    verdicts = []
    for trial in range(100):
        base = [f"t{trial}w{n}" for n in range(80)]
        other = list(base)
        for place in rng.sample(range(80), changes):
            other[place] += "x"
        one, two = sketch(shingles(" ".join(base))), sketch(shingles(" ".join(other)))
        verdicts.append(bool(may_be_alike(one.signature[None], two.signature[None], 0.8)[0]))
    assert set(verdicts) == {may_be}


def _proposed(keys):
    return {(int(one), int(other)) for pairs in proposals(keys) for one, other in pairs}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=60))
def test_texts_that_share_a_key_are_proposed(keys):
    """All of them in a small bucket; in any bucket enough to join all that are in it, and never others."""
    keys = np.array(keys, dtype=np.uint64).reshape(-1, 2)
    shared, chained = set(), set()
    for band in range(2):
        buckets = {}
        for index, key in enumerate(keys[:, band].tolist()):
            buckets.setdefault(key, []).append(index)
        for bucket in buckets.values():
            every = set(itertools.combinations(bucket, 2))
            shared |= every
            linear = {*itertools.pairwise(bucket), *((bucket[0], index) for index in bucket[1:])}
            chained |= every if len(bucket) <= 24 else linear
    assert _proposed(keys) == chained <= shared


def test_a_large_bucket_is_compared_in_linear_time():
    keys = np.zeros((500, 1), dtype=np.uint64)
    pairs = _proposed(keys)
    assert len(pairs) < 1000
    groups = Groups()
    for one in range(500):
        groups.add(f"{one:03}")
    for one, other in pairs:
        groups.join(f"{one:03}", f"{other:03}")
    assert {groups.name(f"{one:03}") for one in range(500)} == {"000"}


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=20), st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_of_joins(pairs, shuffler):
    def names(joins):
        groups = Groups()
        for one in range(13):
            groups.add(f"{one:02}")
        for one, other in joins:
            groups.join(f"{one:02}", f"{other:02}")
        return [groups.name(f"{one:02}") for one in range(13)]

    shuffled = list(pairs)
    shuffler.shuffle(shuffled)
    found = names(pairs)
    assert found == names(shuffled)
    assert all(name <= f"{one:02}" and found[int(name)] == name for one, name in enumerate(found))


@given(st.text(max_size=40))
def test_normalised_text_normalises_to_itself(text):
    assert normalised(normalised(text)) == normalised(text)


def test_shares_are_as_asked_and_optimize_is_inside_train(tmp_path):
    path = table(tmp_path / "p.parquet", {f"id{n}": (None, f"prompt {n}") for n in range(6000)})
    counts = split_prompts(path, Splits(val=0.1, test=0.2, optimize=0.3), 0.8, tmp_path / "s.parquet")
    rows = list(read_rows(tmp_path / "s.parquet"))
    assert len(rows) == 6000
    found = Counter(row["split"] for row in rows)
    assert found["val"] / 6000 == pytest.approx(0.1, abs=0.015)
    assert found["test"] / 6000 == pytest.approx(0.2, abs=0.02)
    assert {row["split"] for row in rows if row["optimize"]} == {"train"}
    assert counts["optimize"]["share_of_train"] == pytest.approx(0.3, abs=0.03)
    assert counts["splits"] == {
        split: {"prompts": found[split], "share": round(found[split] / 6000, 6)} for split in ("train", "val", "test")
    }


def test_a_group_is_never_divided(tmp_path):
    prompts = {f"{half}{n}": (None, words(f"n{n}w", 50)) for n in range(200) for half in "ab"}
    split_prompts(table(tmp_path / "p.parquet", prompts), Splits(val=0.3, test=0.3), 0.8, tmp_path / "s.parquet")
    rows = {row["prompt_id"]: row for row in read_rows(tmp_path / "s.parquet")}
    assert {row["split"] for row in rows.values()} == {"train", "val", "test"}
    for n in range(200):
        assert rows[f"b{n}"] == rows[f"a{n}"] | {"prompt_id": f"b{n}"}
        assert rows[f"b{n}"]["group_id"] == f"a{n}"


def test_new_prompts_and_other_shares_move_as_few_as_they_must():
    """A prompt's draw depends on its group and the salt alone; a larger test share only adds to test."""
    ids = [f"id{n}" for n in range(2000)]
    small = {key for key in ids if draw(key, Splits(test=0.1)) == "test"}
    large = {key for key in ids if draw(key, Splits(test=0.2)) == "test"}
    assert small < large
    assert small != {key for key in ids if draw(key, Splits(test=0.1, salt="other")) == "test"}
    assert not {key for key in ids if draw(key, Splits(test=0)) == "test"}


def test_no_prompts_at_all(tmp_path):
    counts = split_prompts(table(tmp_path / "p.parquet", {}), Splits(), 0.8, tmp_path / "s.parquet")
    assert counts["splits"]["train"] == {"prompts": 0, "share": None}
