"""Metrics of whole sets of rows against scikit-learn, SciPy, and plain loops."""

import random
import warnings
from statistics import stdev

import numpy as np
import pytest

from winnow.evaluation import set_metrics
from winnow.evaluation.set_metrics import DECISION_FUNCTIONS, RATING_FUNCTIONS

CLASSES = ("accept", "reject")
TEN = list(map(float, range(1, 11)))


def row(rating, *, decision="accept", t=6.0, prompt="p", human=None, scale=TEN):
    """A row of measured.jsonl, as far as set metrics read it."""
    predicted = None if rating is None else ("accept" if rating >= t else "reject")
    correct = None if decision is None else float(predicted == decision)
    values = {"rating": rating, "decision_correct": correct}
    head = {"prompt_id": prompt, "decision": decision, "predicted": predicted, "rating_scale": scale}
    return {**head, "human_rating": human, "values": values}


def random_rows(seed, unread=0.2, count=40):
    generator = random.Random(seed)
    return [
        row(
            None if generator.random() < unread else generator.choice(TEN),
            decision=generator.choice(["accept", "reject", "reject"]),
            prompt=f"p{generator.randrange(12)}",
            human=generator.choice(TEN),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("unread", [0.0, 0.2, 0.9])
def test_decisions_agree_with_scikit_learn(unread):
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, matthews_corrcoef

    for seed in range(15):
        rows = random_rows(seed, unread)
        truth, said = [r["decision"] for r in rows], [r["predicted"] or "unparsed" for r in rows]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is told of a class that is never true
            wanted = {
                "accuracy": accuracy_score(truth, said),
                "macro_f1": f1_score(truth, said, labels=["accept", "reject"], average="macro", zero_division=0),
                "mcc": matthews_corrcoef(truth, said),
                "balanced_accuracy": balanced_accuracy_score(truth, said),
                "predicted_positive_rate": np.mean([answer == "accept" for answer in said]),
            }
        assert {name: DECISION_FUNCTIONS[name](rows, CLASSES) for name in wanted} == pytest.approx(wanted)


def test_the_confusion_by_hand_and_unread_is_never_right():
    rows = [row(7.0), row(7.0), row(3.0), row(None), row(8.0, decision="reject"), row(9.0, decision=None)]
    assert set_metrics.confusion(rows, CLASSES) == {
        "accept": {"accept": 2, "reject": 1, "unparsed": 1},
        "reject": {"accept": 1, "reject": 0, "unparsed": 0},
    }
    assert set_metrics.accuracy(rows, CLASSES) == 0.4
    # A model that answers nothing, and one that answers wrongly each time, are right equally often.
    silent = [row(None), row(None, decision="reject")]
    wrong = [row(1.0), row(9.0, decision="reject")]
    for name in ("accuracy", "macro_f1", "balanced_accuracy"):
        assert DECISION_FUNCTIONS[name](silent, CLASSES) == DECISION_FUNCTIONS[name](wrong, CLASSES) == 0
    assert set_metrics.mcc(silent, CLASSES) == 0
    assert set_metrics.mcc(wrong, CLASSES) == -1


def test_always_yes_has_the_known_numbers():
    """DOMAIN's guard of F1: of always accepting, F1 of accept is 2p / (1 + p), and nothing else is above chance."""
    rows = [row(10.0, decision="accept" if number < 3 else "reject") for number in range(10)]
    assert set_metrics.accuracy(rows, CLASSES) == 0.3
    assert set_metrics.macro_f1(rows, CLASSES) == pytest.approx((2 * 0.3 / 1.3 + 0) / 2)
    assert set_metrics.balanced_accuracy(rows, CLASSES) == 0.5
    assert set_metrics.mcc(rows, CLASSES) == 0
    assert set_metrics.predicted_positive_rate(rows, CLASSES) == 1


def test_one_class_alone_says_nothing_of_telling_them_apart():
    for name in ("macro_f1", "mcc", "balanced_accuracy"):
        assert DECISION_FUNCTIONS[name]([row(7.0), row(3.0)], CLASSES) is None
    for rows in ([], [row(None, decision=None)]):
        assert {function(rows, CLASSES) for function in DECISION_FUNCTIONS.values()} == {None}
        assert {function(rows) for function in RATING_FUNCTIONS.values()} == {None}


def test_ranks_agree_with_scipy():
    from scipy.stats import kendalltau, spearmanr

    rows = random_rows(3, unread=0)
    ours, theirs = [r["values"]["rating"] for r in rows], [r["human_rating"] for r in rows]
    assert set_metrics.spearman(rows) == pytest.approx(spearmanr(ours, theirs).statistic)
    # Without ties and with one row a paper, accuracy is (tau + 1) / 2.
    order = random.Random(0).sample(TEN, 10)
    rows = [row(rating, human=human, prompt=str(human)) for rating, human in zip(order, TEN, strict=True)]
    tau = kendalltau(order, TEN).statistic
    assert set_metrics.pairwise_ranking_accuracy(rows) == pytest.approx((tau + 1) / 2)


@pytest.mark.parametrize("seed", range(4))
def test_pairs_agree_with_a_plain_loop(seed):
    rows = random_rows(seed)
    right = pairs = 0
    for a in rows:
        for b in rows:
            if a["prompt_id"] != b["prompt_id"] and a["human_rating"] > b["human_rating"]:
                pairs += 1
                x, y = a["values"]["rating"], b["values"]["rating"]
                right += 0 if None in (x, y) else 1 if x > y else 0.5 if x == y else 0
    assert set_metrics.pairwise_ranking_accuracy(rows) == pytest.approx(right / pairs)


def test_years_of_different_level_lend_no_correlation():
    """Within each scale the ratings say nothing; over both, they would seem to follow people's."""
    low, high = [1.0, 2.0, 3.0], [11.0, 12.0, 13.0]
    rows = [
        row(rating, human=human, scale=scale, prompt=f"{scale}{human}{rating}")
        for scale in (low, high)
        for rating, human in ((scale[0], scale[0]), (scale[2], scale[0]), (scale[0], scale[2]), (scale[2], scale[2]))
    ]
    assert set_metrics.spearman(rows) == pytest.approx(0)
    assert set_metrics.pairwise_ranking_accuracy(rows) == pytest.approx(0.5)


def test_one_rating_for_all_ranks_nothing():
    rows = [row(6.0, human=human, prompt=str(human)) for human in TEN]
    assert set_metrics.spearman(rows) == 0
    assert set_metrics.pairwise_ranking_accuracy(rows) == 0.5
    assert set_metrics.rating_sd(rows) == 0


def test_spread_and_distance_of_ratings():
    rows = [row(4.0), row(6.0), row(None), row(9.0)]
    assert set_metrics.rating_sd(rows) == pytest.approx(stdev([4, 6, 9]))
    assert set_metrics.wasserstein_to_human(rows, rows) == 0
    shifted = [row(5.0), row(7.0), row(10.0)]
    assert set_metrics.wasserstein_to_human(rows, shifted) == pytest.approx(1)  # each moved by one point
    assert set_metrics.wasserstein_to_human([row(None)], rows) is None
