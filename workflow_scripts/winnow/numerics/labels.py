"""What log-probabilities of answers say: the verdict on a prompt, and how good verdicts are."""

import math
from collections.abc import Mapping, Sequence

METRICS = ("macro_f1", "f1_positive", "accuracy", "predicted_positive_rate", "margin")


def likeliest(numbers: Mapping[str, float]) -> str | None:
    """Return the label with the largest number; None where several have it: equal probabilities are no verdict."""
    largest = max(numbers.values())
    labels = [label for label, number in numbers.items() if number == largest]
    return labels[0] if len(labels) == 1 else None


def label_metrics(rows: Sequence[tuple[str, Mapping[str, float]]], positive: str) -> dict[str, float]:
    """Return how good verdicts are. A row without a verdict is wrong, and not positive.

    macro_f1: mean of the F1 of each label; absent unless there are rows of every label.
    f1_positive: 2·right / (rows of the positive label + verdicts for it); absent without rows of it.
    accuracy: share of rows with the right verdict.
    predicted_positive_rate: share of rows whose verdict is the positive label.
    margin: mean of ln p(right word) − ln p(the likeliest wrong word), nats.

    Reference: scikit-learn's f1_score and accuracy_score, no verdict being an answer that is never right.

    Args:
        rows: right label, and label → log-probability of its word, in nats; at least one row.
        positive: the positive label.
    """
    labels = sorted(rows[0][1])
    verdicts = [likeliest(logps) for _, logps in rows]
    right = {label: sum(of == said == label for (of, _), said in zip(rows, verdicts, strict=True)) for label in labels}
    held = {label: sum(of == label for of, _ in rows) for label in labels}
    said = {label: verdicts.count(label) for label in labels}
    scores = {label: 2 * right[label] / (held[label] + said[label]) for label in labels if held[label]}
    margins = [logps[of] - max(logp for label, logp in logps.items() if label != of) for of, logps in rows]
    found = {
        "accuracy": sum(right.values()) / len(rows),
        "predicted_positive_rate": said[positive] / len(rows),
        "margin": math.fsum(margins) / len(rows),
    }
    if len(scores) == len(labels):
        found["macro_f1"] = math.fsum(scores.values()) / len(scores)
    if positive in scores:
        found["f1_positive"] = scores[positive]
    return {name: found[name] for name in METRICS if name in found}
