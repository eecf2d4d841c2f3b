"""The search for items: AUCs, greedy paths and beams against plain loops, folds, and the choice of a length."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from winnow.scoring.optimization.counting import auc, youden_threshold
from winnow.scoring.optimization.crossvalidation import Curve, Folds
from winnow.scoring.optimization.search import Space, find_paths, search_steps, trace
from winnow.scoring.optimization.similarity import answer_phi


def space(yes, *, penalty=0.02, width=1, steps=5):
    phi = np.abs(answer_phi(np.asarray(yes, np.int8)))
    return Space(np.asarray(yes, np.float32), phi, penalty, width, steps)


def drawn(seed, rows=60, items=9):
    generator = np.random.default_rng(seed)
    yes = generator.random((rows, items)) < generator.uniform(0.2, 0.8, items)
    labels = generator.random(rows) < 0.5
    labels[:2] = True, False
    return yes.astype(int), labels


def plain_auc(scores, labels):
    pairs = [(p > n) + (p == n) / 2 for p in scores[labels] for n in scores[~labels]]
    return sum(pairs) / len(pairs)


def plain_path(yes, labels, phi, penalty, steps):
    """The definition, word for word."""
    path = []
    for _ in range(steps):
        values = {}
        for item in range(yes.shape[1]):
            if item not in path:
                redundancy = np.mean([phi[item, other] for other in path]) if path else 0
                count = yes[:, [*path, item]].sum(axis=1)
                values[item] = round(plain_auc(count, labels) - penalty * redundancy, 10)
        path.append(min(values, key=lambda item: (-values[item], item)))
    return path


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=40))
@settings(deadline=None, max_examples=100)
def test_the_auc_is_the_share_of_pairs_in_order(rows):
    scores, labels = np.array([s for s, _ in rows]), np.array([label for _, label in rows])
    if labels.all() or not labels.any():
        assert np.isnan(auc(scores, labels))
    else:
        assert auc(scores, labels) == pytest.approx(plain_auc(scores, labels), abs=1e-12)
        assert auc(scores / 7, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("penalty", [0.0, 0.02, 0.5])
def test_the_path_is_that_of_plain_loops(seed, penalty):
    yes, labels = drawn(seed)
    found = find_paths(space(yes, penalty=penalty), labels[None], np.ones((1, len(labels))))[0]
    assert list(found) == plain_path(yes, labels, space(yes).phi, penalty, 5)


def test_a_weight_is_a_number_of_copies_and_zero_leaves_a_response_out():
    yes, labels = drawn(7)
    weights = np.random.default_rng(1).integers(0, 3, len(labels))
    copies = np.repeat(np.arange(len(labels)), weights)
    whole = space(yes)
    copied = Space(whole.yes[copies], whole.phi, whole.penalty, 1, whole.steps)
    weighted = find_paths(whole, labels[None], weights[None])
    assert (weighted == find_paths(copied, labels[copies][None], np.ones((1, len(copies))))).all()


def test_searches_side_by_side_do_not_see_each_other(monkeypatch):
    yes, labels = drawn(3)
    many = np.stack([np.random.default_rng(n).permutation(labels) for n in range(20)])
    together = find_paths(space(yes), many, np.ones(many.shape))
    monkeypatch.setattr("winnow.scoring.optimization.search._CELLS_AT_ONCE", 1)
    assert (find_paths(space(yes), many, np.ones(many.shape)) == together).all()


def test_of_equal_items_the_first_is_taken():
    yes, labels = drawn(4)
    best = find_paths(space(yes), labels[None], np.ones((1, len(labels))))[0, 0]
    doubled = np.concatenate([yes, yes[:, [best]]], axis=1)
    path = find_paths(space(doubled), labels[None], np.ones((1, len(labels))))[0]
    assert path[0] == best
    assert yes.shape[1] not in path[:2]  # its double adds nothing but redundancy


def test_a_search_keeps_to_what_it_may_use_and_stops_where_nothing_is_left():
    yes, labels = drawn(11)
    allowed = np.zeros((2, 9), bool)
    allowed[0, [1, 4, 8]] = allowed[1, 2:] = True
    paths = find_paths(space(yes), np.stack([labels, labels]), np.ones((2, len(labels))), allowed)
    assert list(paths[0, 3:]) == [-1, -1]
    part = yes[:, [1, 4, 8]]
    assert [(1, 4, 8)[n] for n in plain_path(part, labels, space(part).phi, 0.02, 3)] == list(paths[0, :3])
    assert set(paths[1]) <= set(range(2, 9))
    folds = Folds(np.arange(60) % 3, 3)
    curve = folds.held_out_aucs(space(yes), labels[None], allowed[:1])[0]
    assert (curve[:, 3:] == curve[:, [2]]).all()  # the count stays what it was
    assert curve[:, :3] == pytest.approx(folds.held_out_aucs(space(part, steps=3), labels[None])[0])


def test_labels_of_one_kind_do_no_harm():
    yes, labels = drawn(5)
    path = find_paths(space(yes), np.ones_like(labels)[None], np.ones((1, len(labels))))[0]
    assert path[0] == 0
    assert len(set(path)) == 5


def test_a_beam_as_wide_as_all_sets_finds_the_best_set():
    yes, labels = drawn(6, items=6)
    wide = space(yes, penalty=0.0, width=20, steps=3)
    *_, last = search_steps(wide, labels[None], np.ones((1, len(labels))))
    best = max(plain_auc(yes[:, c].sum(axis=1), labels) for c in itertools.combinations(range(6), 3))
    assert last.aucs[0, 0] == pytest.approx(best, abs=1e-12)
    sets = [frozenset(path) for path in last.paths[0, last.alive[0]]]
    assert len(sets) == len(set(sets)) == 20  # of 6 items, 3 at a time: every set once


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_is_no_worse_than_the_greedy_path(seed):
    yes, labels = drawn(seed, items=12)
    values = [
        list(search_steps(space(yes, penalty=0, width=w), labels[None], np.ones((1, len(labels)))))[-1].aucs[0, 0]
        for w in (1, 4)
    ]
    assert values[1] >= values[0]


def test_the_trace_tells_the_path():
    yes, labels = drawn(8)
    names = [f"item_{n}" for n in range(yes.shape[1])]
    lines = list(trace(space(yes, width=2), labels, names))
    assert [(line["step"], line["rank"]) for line in lines] == [(s, r) for s in range(1, 6) for r in (1, 2)]
    path = find_paths(space(yes, width=2), labels[None], np.ones((1, len(labels))))[0]
    assert lines[-2]["items"] == [names[item] for item in path]
    count = yes[:, path].sum(axis=1)
    assert lines[-2]["auc"] == pytest.approx(plain_auc(count, labels), abs=1e-6)
    assert lines[-2]["value"] == pytest.approx(lines[-2]["auc"] - 0.02 * lines[-2]["redundancy"], abs=2e-6)


def test_folds_keep_groups_together_and_are_of_equal_size():
    sizes = np.random.default_rng(0).integers(1, 8, 100)
    groups = np.repeat(np.arange(100), sizes)
    names = [f"g{n:03d}" for n in range(100)]
    folds = Folds.deal(groups, names, 5, seed=0)
    assert all(len(set(folds.of[groups == group])) == 1 for group in range(100))
    loads = np.bincount(folds.of)
    assert loads.max() - loads.min() <= 1
    assert (Folds.deal(groups, names, 5, seed=1).of != folds.of).any()


def test_folds_follow_names_and_not_their_places():
    names = [f"g{n}" for n in range(30)]
    groups = np.repeat(np.arange(30), 3)
    turned = Folds.deal(groups, names[::-1], 5, seed=0).of
    assert (turned[::3][::-1] == Folds.deal(groups, names, 5, seed=0).of[::3]).all()


def test_held_out_aucs_are_those_of_a_search_without_the_fold():
    yes, labels = drawn(9, rows=100)
    folds = Folds(np.arange(100) % 4, 4)
    found = folds.held_out_aucs(space(yes), np.stack([labels, ~labels]))
    assert found.shape == (2, 4, 5)
    for fold in range(4):
        held = folds.of == fold
        path = plain_path(yes[~held], labels[~held], space(yes).phi, 0.02, 5)
        for length in range(5):
            expected = plain_auc(yes[held][:, path[: length + 1]].sum(axis=1), labels[held])
            assert found[0, fold, length] == pytest.approx(expected, abs=1e-12)


def test_a_fold_of_one_label_says_nothing():
    yes, labels = drawn(10, rows=40)
    folds = Folds(np.arange(40) % 4, 4)
    labels[folds.of == 2] = True
    found = folds.held_out_aucs(space(yes), labels[None])[0]
    assert np.isnan(found[2]).all()
    assert Curve.of(found).mean == pytest.approx(found[[0, 1, 3]].mean(axis=0))
    assert (Curve.of(np.full((4, 5), np.nan)).mean == 0.5).all()


@pytest.mark.parametrize(
    ("mean", "error", "least", "expected"),
    [
        ([0.5, 0.6, 0.7, 0.8], 0.05, 1, 4),  # no shorter one is near
        ([0.5, 0.76, 0.7, 0.8], 0.05, 1, 2),  # the second is within one error of the best, the third need not be
        ([0.9, 0.6, 0.6, 0.6], 0.05, 2, 2),  # what is too short does not count, not as best either
        ([0.5, 0.75, 0.8, 0.8], 0.05, 1, 2),  # exactly one error below is within
    ],
)
def test_the_one_standard_error_rule(mean, error, least, expected):
    assert Curve(np.array(mean), np.full(len(mean), error)).fewest_items(least) == expected


def test_the_threshold_parts_the_labels_best():
    labels = np.array([False, False, False, True, True, True])
    assert youden_threshold(np.array([0, 1, 2, 3, 4, 4]), labels) == 3
    assert youden_threshold(np.array([0, 2, 3, 3, 4, 4]), labels) == 3
    assert youden_threshold(np.array([1, 1, 1, 1, 1, 1]), labels) == 0  # nothing is told apart: the smallest
