"""The whole choice on made-up answers: what was planted is found, noise is called noise, order does not matter."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score

from winnow.core.config.signals import ChecklistOptimization
from winnow.core.errors import WinnowError
from winnow.core.ids import canonical_json
from winnow.scoring.checklist import Checklist, Item
from winnow.scoring.optimization import significance
from winnow.scoring.optimization.crossvalidation import Curve, Folds
from winnow.scoring.optimization.logistic import fit_l1_logistic
from winnow.scoring.optimization.matrix import Labelled, Matrix
from winnow.scoring.optimization.optimize import optimize
from winnow.scoring.optimization.reading import Joined
from winnow.scoring.optimization.result import as_json
from winnow.scoring.optimization.search import find_paths
from winnow.scoring.optimization.significance import p_value, permuted

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "checklist_null.py"
PLANTED = 8
QUICK = ChecklistOptimization(bootstraps=5, random_subsets=10)


def letters(number):
    """A question that has no run of letters in common with another."""
    return chr(0x4E00 + number) * 12 + "?"


def candidates(count):
    return [Item(id=f"i{n:02d}", category="c", text=letters(n)) for n in range(count)]


def planted(seed=1, papers=400, per_paper=4, items=30):
    """Rows whose label follows a hidden quality that items 0 to 7 see; 8 doubles 0; 9 and 10 never vary."""
    generator = np.random.default_rng(seed)
    group = np.repeat(np.arange(papers), per_paper)
    quality = generator.normal(size=papers)[group]
    labels = quality + generator.normal(scale=0.5, size=len(group)) > 0
    answers = generator.random((len(group), items)) < generator.uniform(0.2, 0.8, items)
    for item in range(PLANTED):
        answers[:, item] = 0.8 * quality + generator.normal(size=len(group)) > 0.5 * generator.normal()
    answers[:, 8], answers[:, 9], answers[:, 10] = answers[:, 0], True, False
    return rows_of(answers, labels, group, generator.integers(50, 500, len(group)))


def rows_of(answers, labels, group, tokens):
    ids = [item.id for item in candidates(answers.shape[1])]
    return [
        Labelled(
            id=f"r{n:05d}",
            paper=f"p{group[n]:04d}",
            group=f"p{group[n]:04d}",
            label=bool(labels[n]),
            answers={name: "yes" if answer else "no" for name, answer in zip(ids, answers[n], strict=True)},
            tokens=int(tokens[n]),
            rating=None,
        )
        for n in range(len(labels))
    ]


def content(rows, items, settings=QUICK, permutations=19):
    matrix = Matrix.of(rows, items)
    outcome = optimize(matrix, settings, permutations=permutations)
    return as_json(outcome, matrix, Joined(), Checklist(version=1, questions=tuple(items)), settings)


@pytest.fixture(scope="module")
def found():
    return content(planted(), candidates(30), ChecklistOptimization(), permutations=None)


def test_planted_items_are_found_and_their_double_is_not_taken_twice(found):
    chosen = [item["id"] for item in found["questions"]]
    assert sum(name < "i09" for name in chosen) >= PLANTED - 1
    assert len({"i00", "i08"} & set(chosen)) <= 1
    assert [one["reason"] for one in found["dropped"] if one["id"] == "i08"] == ["double of i00: phi 1.000 >= 0.8"]
    assert found["status"] == "validated"
    assert found["permutation"]["p"] == 1 / 200 == found["permutation"]["p_all_steps"]
    assert found["cv"]["auc"] > found["permutation"]["null95"]
    planted_items = [item for item in found["questions"] if item["id"] < "i08"]
    assert all(item["stats"]["selection_freq"] >= 0.9 and item["stats"]["stable"] for item in planted_items)


def test_items_that_never_vary_are_dropped(found):
    assert {one["id"] for one in found["dropped"]} == {"i08", "i09", "i10"}


def test_every_candidate_is_chosen_passed_over_or_dropped(found):
    names = [one["id"] for part in ("questions", "not_chosen", "dropped") for one in found[part]]
    assert sorted(names) == [item.id for item in candidates(30)]
    clusters = [one["cluster_id"] for part in ("questions", "not_chosen") for one in found[part]]
    assert sorted(clusters) == list(range(1, 28))


def test_the_length_is_within_its_limits_and_the_curve_has_it(found):
    assert 8 <= found["K"] == len(found["questions"]) <= 15
    assert [item["order"] for item in found["questions"]] == list(range(1, found["K"] + 1))
    assert len(found["cv"]["curve"]) == 15
    at = found["cv"]["curve"][found["K"] - 1]
    assert (at["auc"], at["se"]) == (found["cv"]["auc"], found["cv"]["se"])
    assert found["cv"]["auc"] == pytest.approx(np.mean(found["cv"]["folds"]), abs=1e-6)


def test_numbers_are_rounded(found):
    def numbers(value):
        if isinstance(value, dict):
            value = list(value.values())
        return [n for one in value for n in numbers(one)] if isinstance(value, list) else [value]

    floats = [value for value in numbers(found) if isinstance(value, float)]
    assert len(floats) > 100
    assert all(value == round(value, 6) for value in floats)


def test_four_items_are_never_chosen():
    with pytest.raises(ValueError, match="min_items"):
        ChecklistOptimization(min_items=4)
    rows, least = planted(papers=60), content(planted(papers=60), candidates(30))
    assert least["K"] >= 8
    with pytest.raises(WinnowError, match="6 of 6 items are left, and 8 are needed"):
        optimize(Matrix.of(rows, candidates(6)), QUICK)


def test_the_order_of_rows_and_items_does_not_matter():
    rows, items = planted(papers=80), candidates(30)
    generator = np.random.default_rng(3)
    first = canonical_json(content(rows, items))
    turned = [rows[n] for n in generator.permutation(len(rows))]
    assert canonical_json(content(turned, items)) == first
    assert canonical_json(content(rows, [items[n] for n in generator.permutation(30)])) == first
    assert canonical_json(content(rows, items)) == first


def test_another_seed_deals_other_folds():
    rows, items = planted(papers=80), candidates(30)
    other = content(rows, items, QUICK.model_copy(update={"seed": 1}))
    assert other["cv"]["folds"] != content(rows, items)["cv"]["folds"]


def test_a_missing_answer_never_raises_a_count():
    rows, items = planted(papers=60), candidates(30)
    generator = np.random.default_rng(4)
    holed = [
        replace(
            row, answers={name: answer if generator.random() < 0.95 else None for name, answer in row.answers.items()}
        )
        for row in rows
    ]
    whole, less = Matrix.of(rows, items), Matrix.of(holed, items)
    before, after = (optimize(matrix, QUICK, permutations=1) for matrix in (whole, less))
    for outcome, matrix in ((before, whole), (after, less)):
        assert (outcome.space.yes == (matrix.answers[:, outcome.screened.survivors] == 1)).all()
    counts_before = (whole.answers[:, after.chosen] == 1).sum(axis=1)
    counts_after = (less.answers[:, after.chosen] == 1).sum(axis=1)
    assert (counts_after <= counts_before).all()
    assert (counts_after < counts_before).any()


def test_permuted_labels_stay_together_and_go_to_groups_of_equal_size():
    sizes = np.array([2, 3, 2, 3, 2, 5])
    groups = np.repeat(np.arange(6), sizes)[np.random.default_rng(0).permutation(17)]
    # Each response has its own bit pattern within its group.
    labels = np.zeros(17, bool)
    for group, pattern in enumerate(((1, 0), (1, 1, 0), (0, 0), (0, 1, 0), (1, 1), (1, 0, 1, 1, 0))):
        labels[groups == group] = pattern
    vectors = {size: sorted(tuple(labels[groups == g]) for g in range(6) if sizes[g] == size) for size in (2, 3, 5)}
    seen = set()
    generator = np.random.default_rng(1)
    for _ in range(50):
        drawn = permuted(labels, groups, generator)
        for size, expected in vectors.items():
            assert sorted(tuple(drawn[groups == g]) for g in range(6) if sizes[g] == size) == expected
        assert (drawn[groups == 5] == labels[groups == 5]).all()  # no other group has five
        seen.add(tuple(drawn))
    assert len(seen) == 12  # 3! * 2! arrangements


def test_p_counts_the_observed_among_the_draws():
    assert p_value(np.array([0.1, 0.2, 0.3]), 0.4) == 1 / 4
    assert p_value(np.array([0.1, 0.4, 0.5]), 0.4) == 3 / 4  # ties speak against it


def random_search():
    """The benchmark's, which the documented table is from."""
    specification = importlib.util.spec_from_file_location("checklist_null", BENCHMARK)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def null():
    return np.array([random_search().search(seed, by_paper=True, permutations=99) for seed in range(100)])


def test_all_steps_are_done_again_with_permuted_labels():
    """Against the whole choice made on each set of permuted labels, as if they were the true ones."""
    matrix, settings = random_search().random_matrix(3, by_paper=False), random_search().SETTINGS
    outcome = optimize(matrix, settings, permutations=30)
    assert any("double of" in one.reason for one in outcome.screened.dropped)
    folds = Folds.deal(matrix.groups, matrix.group_names, settings.folds, settings.seed)
    generator = np.random.default_rng([settings.seed, 1])
    survivors = set()
    for fixed, anew in zip(outcome.permutations.null, outcome.permutations.null_all_steps, strict=True):
        shuffled = replace(matrix, labels=permuted(matrix.labels, matrix.groups, generator))
        whole = optimize(shuffled, settings, permutations=1)
        survivors.add(whole.screened.survivors)
        assert anew == whole.auc
        by_fold = folds.held_out_aucs(outcome.space, shuffled.labels[None])[0]
        assert fixed == Curve.of(by_fold).mean[len(outcome.chosen) - 1]
    assert len(survivors) > 1  # or the test could not tell


@pytest.mark.parametrize("column", [0, 1], ids=["p", "p_all_steps"])
def test_on_random_labels_p_is_uniform(null, column):
    assert kstest(null[:, column], "uniform").pvalue > 0.05


def test_on_random_labels_few_checklists_are_called_valid(null):
    assert null[:, 3].sum() <= 10
    assert (null[:, 2] >= 8).all()


def test_length_alone_is_a_floor():
    """Items that only count words are better than shuffled labels, and still no better than length."""
    generator = np.random.default_rng(5)
    group = np.repeat(np.arange(150), 3)
    tokens = generator.integers(50, 1000, len(group))
    labels = tokens + generator.normal(scale=150, size=len(group)) > 500
    answers = tokens[:, None] + generator.normal(scale=1500, size=(len(group), 12)) > 500
    made = content(rows_of(answers, labels, group, tokens), candidates(12))
    assert made["permutation"]["p"] == 1 / 20
    assert made["baselines"]["length"] > made["cv"]["auc"] > made["baselines"]["random"]["mean"]
    assert made["status"] == "not_better_than_chance"


def test_the_direction_of_length_is_learned():
    generator = np.random.default_rng(5)
    group = np.repeat(np.arange(100), 3)
    tokens = generator.integers(50, 1000, len(group))
    answers = generator.random((len(group), 10)) < 0.5
    shorter_is_better = content(rows_of(answers, tokens < 500, group, tokens), candidates(10))
    assert shorter_is_better["baselines"]["length"] == 1.0


def test_the_baselines_are_what_they_say():
    rows, items = planted(papers=80), candidates(30)
    matrix = Matrix.of(rows, items)
    outcome = optimize(matrix, QUICK, permutations=1)
    whole = (matrix.answers == 1).sum(axis=1)
    folds = Folds.deal(matrix.groups, matrix.group_names, QUICK.folds, QUICK.seed).of
    expected = [roc_auc_score(matrix.labels[folds == fold], whole[folds == fold]) for fold in range(5)]
    assert outcome.baselines.all_candidates == pytest.approx(np.mean(expected), abs=1e-12)
    assert len(outcome.baselines.random) == QUICK.random_subsets
    # Eight of 27 survivors are planted, so random sets do better than chance and worse than the choice.
    assert 0.5 < outcome.baselines.random_mean < outcome.auc
    assert outcome.baselines.l1_logistic > outcome.baselines.all_survivors


@pytest.mark.parametrize("strength", [0.003, 0.01, 0.05])
def test_the_logistic_regression_is_that_of_scikit_learn(strength):
    generator = np.random.default_rng(0)
    features = (generator.random((400, 12)) < generator.uniform(0.1, 0.9, 12)).astype(float)
    labels = features @ generator.normal(size=12) + generator.normal(size=400) > 0.5
    theirs = LogisticRegression(
        l1_ratio=1, C=1 / (400 * strength), solver="saga", tol=1e-10, max_iter=100_000, random_state=0
    ).fit(features, labels)
    ours = fit_l1_logistic(features, labels, strength)
    assert ours[:-1] == pytest.approx(theirs.coef_[0], abs=1e-5)
    assert ours[-1] == pytest.approx(theirs.intercept_[0], abs=1e-5)
    assert ((ours[:-1] == 0) == (np.abs(theirs.coef_[0]) < 1e-7)).all()


def test_a_huge_penalty_leaves_the_intercept():
    labels = np.arange(100) < 30
    ours = fit_l1_logistic(np.random.default_rng(0).random((100, 4)), labels, 10.0)
    assert ours == pytest.approx([0, 0, 0, 0, np.log(0.3 / 0.7)], abs=1e-6)


def test_papers_are_decided_by_votes_for_target_decision_alone():
    generator = np.random.default_rng(7)
    group = np.repeat(np.arange(150), 3)
    accepted = (generator.random(150) < 0.4)[group]
    answers = generator.random((len(group), 12)) < np.where(accepted, 0.65, 0.35)[:, None]
    rows = rows_of(answers, accepted, group, generator.integers(50, 500, len(group)))
    made = content(rows, candidates(12), QUICK.model_copy(update={"target": "decision"}))
    votes = made["paper_votes"]
    truth = accepted[::3]
    assert votes["papers"] == 150
    assert votes["majority_class"] == pytest.approx(max(truth.mean(), 1 - truth.mean()), abs=1e-6)
    assert votes["majority_class"] + 0.1 < votes["accuracy"] <= 1
    assert votes["accuracy"] > accuracy_score(truth, generator.permutation(truth))
    assert content(rows, candidates(12))["paper_votes"] is None


def test_labels_of_one_kind_are_an_error():
    rows = [replace(row, label=True) for row in planted(papers=20)]
    with pytest.raises(WinnowError, match=r"0 of 5 folds have both labels"):
        optimize(Matrix.of(rows, candidates(30)), QUICK)
    with pytest.raises(WinnowError, match="0 responses to 0 papers"):
        optimize(Matrix.of([], candidates(30)), QUICK)


def test_selection_frequency_resamples_whole_papers(monkeypatch):
    matrix = Matrix.of(planted(papers=60), candidates(30))
    seen = []

    def spy(space, labels, weights):
        seen.append(weights)
        return find_paths(space, labels, weights)

    monkeypatch.setattr(significance, "find_paths", spy)
    outcome = optimize(matrix, QUICK, permutations=1)
    weights = np.concatenate(seen)
    assert weights.shape == (QUICK.bootstraps, 240)
    assert (weights.reshape(-1, 60, 4) == weights.reshape(-1, 60, 4)[:, :, :1]).all()
    assert (weights.sum(axis=1) == 240).all()
    assert outcome.frequency.sum() == pytest.approx(len(outcome.chosen))
