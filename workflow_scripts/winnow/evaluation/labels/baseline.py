"""What a classifier without a language model reaches: TF-IDF and logistic regression, on the same train split."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from winnow.core.errors import WinnowError
from winnow.core.manifest import Tally
from winnow.evaluation.labels.prompts import LabelledPrompt

# One and two successive words or marks, weighted 1 + ln(count): "!" and "?" tell much in a post of twenty words.
FEATURES: dict[str, Any] = {
    "lowercase": True,
    "token_pattern": r"(?u)\w+|[^\w\s]",
    "ngram_range": (1, 2),
    "sublinear_tf": True,
}
REGRESSION: dict[str, Any] = {"solver": "lbfgs", "tol": 1e-6, "max_iter": 10_000}
TRIED = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
UNCHOSEN = 1.0  # scikit-learn's own


@dataclass(frozen=True)
class Baseline:
    """What the classifier says of prompts.

    Attributes:
        probabilities: prompt → label → probability.
        about: how it was made, for a manifest.
    """

    probabilities: Mapping[str, Mapping[str, float]]
    about: Mapping[str, Any]


def fit_baseline(
    prompts: Mapping[str, LabelledPrompt], asked: Collection[str], labels: Sequence[str], tally: Tally
) -> Baseline:
    """Train on the train split, choose C on val, and answer.

    C is what has the highest macro-F1 on val, of equally good ones the smallest, which trusts single words least.
    Where val cannot say, C is 1: if it lacks a label, or if its prompts are those that are asked.

    Args:
        prompts: of the corpus.
        asked: ids of held-out prompts.
        labels: that count, the positive one first.
        tally: is told which prompts were used, and why others were not.

    Raises:
        WinnowError: if train lacks a label.
    """
    of_split: dict[str, list[str]] = {"train": [], "val": []}
    for name in sorted(prompts):
        tally.read += 1
        split = prompts[name].split
        if prompts[name].label not in labels:
            tally.drop("no label")
        elif split not in of_split:
            tally.drop(f"in {split}")
        else:
            of_split[split].append(name)
    train, val = of_split["train"], of_split["val"]
    unsuited = _why_not(val, asked, prompts, labels)
    if unsuited:
        tally.drop("in val, where C is not chosen", len(val))
        val = []
    tally.kept += len(train) + len(val)
    given = [prompts[name].label for name in train]
    if lacking := [label for label in labels if label not in given]:
        problem = f"train has no prompt of the label {lacking[0]}"
        raise WinnowError("the held-out corpus", problem, "lower splits.test and splits.val, or use a larger corpus")

    vectorizer = TfidfVectorizer(**FEATURES)
    seen = vectorizer.fit_transform([prompts[name].text for name in train])
    models = {c: LogisticRegression(C=c, **REGRESSION) for c in (TRIED if val else (UNCHOSEN,))}
    for model in models.values():
        model.fit(seen, given)
    scores = _scores(models, vectorizer, [prompts[name] for name in val], labels)
    c = max(models, key=lambda tried: (scores.get(tried, 0.0), -tried))
    about = {
        "features": FEATURES | {"ngram_range": list(FEATURES["ngram_range"])},
        "n_features": len(vectorizer.vocabulary_),
        "regression": REGRESSION,
        "c": c,
        "chosen_on": "val" if val else None,
        "not_chosen_because": unsuited,
        "macro_f1_on_val": [{"c": tried, "macro_f1": score} for tried, score in sorted(scores.items())],
        "n_train": len(train),
        "n_val": len(val),
        "train_by_label": {label: given.count(label) for label in labels},
    }
    order = sorted(asked)
    found = models[c].predict_proba(vectorizer.transform([prompts[name].text for name in order]))
    classes = [str(label) for label in models[c].classes_]
    return Baseline(
        {name: dict(zip(classes, map(float, row), strict=True)) for name, row in zip(order, found, strict=True)}, about
    )


def _why_not(
    val: Sequence[str], asked: Collection[str], prompts: Mapping[str, LabelledPrompt], labels: Sequence[str]
) -> str | None:
    """Return why C must not, or cannot, be chosen on val; None where it can."""
    if set(val) & set(asked):
        return "val is what is measured: there is no test split"
    given = {prompts[name].label for name in val}
    lacking = [label for label in labels if label not in given]
    return f"val has no prompt of the label {lacking[0]}" if lacking else None


def _scores(
    models: Mapping[float, LogisticRegression],
    vectorizer: TfidfVectorizer,
    val: Sequence[LabelledPrompt],
    labels: Sequence[str],
) -> dict[float, float]:
    """Return the macro-F1 on val of each C; rounded, so that a last bit breaks no tie."""
    if not val:
        return {}
    given, shown = [prompt.label for prompt in val], vectorizer.transform([prompt.text for prompt in val])
    settings = {"labels": list(labels), "average": "macro", "zero_division": 0.0}
    return {c: round(float(f1_score(given, model.predict(shown), **settings)), 6) for c, model in models.items()}
