"""Verdicts by log-probability against scikit-learn."""

import math
import random

import pytest
from sklearn.metrics import accuracy_score, f1_score

from winnow.numerics.labels import METRICS, label_metrics, likeliest

LABELS = ("sarcastic", "not_sarcastic")


def rows(seed: int, count: int = 40) -> list[tuple[str, dict[str, float]]]:
    """Coarse log-probabilities, so that some are equal."""
    rng = random.Random(seed)
    return [(rng.choice(LABELS), {label: -float(rng.randint(1, 4)) for label in LABELS}) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_numbers_are_those_of_scikit_learn(seed: int) -> None:
    scored = rows(seed)
    right = [label for label, _ in scored]
    said = [likeliest(logps) or "none" for _, logps in scored]
    assert "none" in said
    found = label_metrics(scored, "sarcastic")
    assert tuple(found) == METRICS
    assert found["macro_f1"] == pytest.approx(f1_score(right, said, labels=LABELS, average="macro"))
    assert found["f1_positive"] == pytest.approx(f1_score(right, said, labels=["sarcastic"], average="macro"))
    assert found["accuracy"] == pytest.approx(accuracy_score(right, said))
    assert found["predicted_positive_rate"] == said.count("sarcastic") / len(said)
    other = {"sarcastic": "not_sarcastic", "not_sarcastic": "sarcastic"}
    margins = [logps[label] - logps[other[label]] for label, logps in scored]
    assert found["margin"] == pytest.approx(math.fsum(margins) / len(margins))


def test_equal_probabilities_are_no_verdict() -> None:
    even = dict.fromkeys(LABELS, -0.7)
    assert likeliest(even) is None
    found = label_metrics([(label, even) for label in LABELS], "sarcastic")
    assert found == dict.fromkeys(METRICS, 0.0)


def test_always_positive() -> None:
    """Its F1 is 2p / (1 + p), p being the share of positive rows."""
    always = {"sarcastic": -0.1, "not_sarcastic": -3.0}
    found = label_metrics([(LABELS[index >= 3], always) for index in range(10)], "sarcastic")
    assert found["f1_positive"] == pytest.approx(2 * 0.3 / 1.3)
    assert (found["predicted_positive_rate"], found["accuracy"]) == (1.0, 0.3)


def test_what_one_class_alone_does_not_say_is_absent() -> None:
    negative = [("not_sarcastic", logps) for _, logps in rows(1)]
    assert label_metrics(negative, "sarcastic").keys() == {"accuracy", "predicted_positive_rate", "margin"}
