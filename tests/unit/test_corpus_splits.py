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
from winnow.core.errors import WinnowError
from winnow.core.ids import unit_interval
from winnow.core.tables import PROMPTS, read_rows, write_table
from winnow.corpus.duplicates import Groups, jaccard, may_be_alike, normalised, proposals, shingles, sketch
from winnow.corpus.splits import draw, group_prompts, may_optimize, split_prompts
from winnow.corpus.stratified import place_groups


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


def labelled_table(path, prompts):
    """Write prompts given as id → (label, group)."""
    rows = [
        dict.fromkeys(PROMPTS.names) | {"prompt_id": key, "body": f"text {key}", "label": label, "group": group}
        for key, (label, group) in prompts.items()
    ]
    write_table(path, rows, PROMPTS, ["prompt_id"])
    return path


def test_prompts_that_name_one_group_are_in_one_split_and_hashes_decide_the_rest(tmp_path):
    splits = Splits(val=0.3, test=0.3)
    prompts = {f"{half}{n}": ("x", f"g{n}" if n < 50 else None) for n in range(100) for half in "ab"}
    counts = split_prompts(labelled_table(tmp_path / "p.parquet", prompts), splits, 0.8, tmp_path / "s.parquet")
    rows = {row["prompt_id"]: row for row in read_rows(tmp_path / "s.parquet")}
    for key, row in rows.items():
        group_id = f"a{key[1:]}" if int(key[1:]) < 50 else key
        split = draw(group_id, splits)
        assert (row["group_id"], row["split"]) == (group_id, split)
        assert row["optimize"] == (split == "train" and may_optimize(group_id, splits))
    assert any(draw(f"a{n}", splits) != draw(f"b{n}", splits) for n in range(50))
    assert counts["joins"]["named group"] == 50
    assert counts["labels"] is None


STRATIFIED = Splits(val=0.08, test=0.2, stratify="label")


def test_of_each_label_exactly_its_share_is_taken_in_the_order_of_hashes(tmp_path):
    prompts = {f"p{n:04}": ("rare" if n % 7 == 0 else "common", None) for n in range(1003)}
    path = labelled_table(tmp_path / "p.parquet", prompts)
    counts = split_prompts(path, STRATIFIED, 0.8, tmp_path / "s.parquet")
    rows = list(read_rows(tmp_path / "s.parquet"))
    for label, total in Counter(label for label, _ in prompts.values()).items():
        ranked = sorted((key for key in prompts if prompts[key][0] == label), key=lambda k: unit_interval(k, "winnow"))
        test, val = round(0.2 * total), round(0.08 * total)
        found = {row["prompt_id"]: row["split"] for row in rows if prompts[row["prompt_id"]][0] == label}
        assert [found[key] for key in ranked] == ["test"] * test + ["val"] * val + ["train"] * (total - test - val)
        assert counts["labels"]["taken"]["test"][label] == counts["labels"]["wanted"]["test"][label] == test
    assert {row["split"] for row in rows if row["optimize"]} == {"train"}


LABELLED = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(1, 3), min_size=1, max_size=2), max_size=25
)


@given(LABELLED, st.sampled_from([0, 0.1, 0.25, 0.5]), st.sampled_from([0.1, 0.3]), st.randoms(use_true_random=False))
def test_shares_are_never_exceeded_and_short_only_where_no_group_fits(made, test, val, shuffler):
    groups = {f"g{n}": counts for n, counts in enumerate(made)}
    splits = Splits(test=test, val=val, stratify="label")
    placed, report = place_groups(groups, splits)
    items = list(groups.items())
    shuffler.shuffle(items)
    assert place_groups(dict(items), splits) == (placed, report)
    totals = Counter()
    for counts in made:
        totals.update(counts)
    assert placed.keys() == groups.keys()
    for split, share in (("test", test), ("val", val)):
        left = {}
        for label, total in totals.items():
            taken = sum(groups[key].get(label, 0) for key in groups if placed[key] == split)
            assert report["taken"][split][label] == taken
            assert report["wanted"][split][label] == round(share * total)
            left[label] = round(share * total) - taken
        assert min(left.values(), default=0) >= 0
        for key, counts in groups.items():
            assert placed[key] != "train" or any(count > left[label] for label, count in counts.items())


def test_with_single_prompts_to_fill_up_every_share_is_exact():
    """Pairs of both labels, as a tweet and its rephrase, groups of three, and prompts alone."""
    groups = {f"pair{n}": {"yes": 1, "no": 1} for n in range(101)} | {f"three{n}": {"yes": 3} for n in range(9)}
    groups |= {f"one{n}": {"yes": 1} for n in range(11)} | {f"other{n}": {"no": 1} for n in range(203)}
    placed, report = place_groups(groups, STRATIFIED)
    assert report["wanted"] == {"test": {"no": 61, "yes": 28}, "val": {"no": 24, "yes": 11}}
    assert {split: report["taken"][split] for split in ("test", "val")} == report["wanted"]
    pairs = sum(placed[key] == "test" for key in groups if key.startswith("pair"))
    assert 14 <= pairs <= 26  # about a fifth of them, as of all


@pytest.mark.parametrize("salt", ["one", "two", "three"])
def test_the_rarer_label_is_served_first(salt):
    """Else the commoner one takes, by chance, too few of the groups that have both, and no other has the rarer."""
    groups = {f"pair{n}": {"rare": 1, "common": 1} for n in range(100)}
    groups |= {f"other{n}": {"common": 1} for n in range(300)}
    _, report = place_groups(groups, STRATIFIED.model_copy(update={"salt": salt}))
    assert report["taken"]["test"] == {"rare": 20, "common": 80}
    assert report["taken"]["val"] == {"rare": 8, "common": 32}


def test_a_prompt_without_a_label_belongs_to_no_share(tmp_path):
    path = labelled_table(tmp_path / "p.parquet", {"p1": ("a", None), "p2": (None, None)})
    with pytest.raises(WinnowError, match="prompt 'p2' has no label"):
        split_prompts(path, STRATIFIED, 0.8, tmp_path / "s.parquet")
