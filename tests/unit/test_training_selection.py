"""Early stopping and the best step, on lines written by hand."""

import math
from typing import Any

import pytest

from winnow.core.config.runs import OwnKeys, Watched
from winnow.core.errors import WinnowError
from winnow.training.selection import (
    best_step,
    check_measured,
    check_selected,
    has_stopped,
    outside_guard,
    standing,
    unscored_labels,
)


def lines(*losses: float | None, **others: tuple[float, ...]) -> list[dict[str, Any]]:
    """Measurements after steps 0, 10, 20 and so on, with a line of training between each."""
    rows: list[dict[str, Any]] = []
    for index, loss in enumerate(losses):
        measured = {} if loss is None else {"loss": loss}
        measured |= {name: values[index] for name, values in others.items()}
        rows += [
            {"kind": "eval", "step": 10 * index, **measured},
            {"kind": "train", "step": 10 * index + 1, "loss": 0.0},
        ]
    return rows


def own(**keys: Any) -> OwnKeys:
    return OwnKeys.model_validate({"effective_batch_size": 8, **keys})


@pytest.mark.parametrize(
    ("losses", "mode", "delta", "step", "waited"),
    [
        ((1.0,), "min", 0.0, None, 0),  # only the measurement before the first step
        ((1.0, 5.0), "min", 0.0, 10, 0),  # which is no yardstick
        ((0.0, 3.0, 2.0, 2.5, 2.4), "min", 0.0, 20, 2),
        ((0.0, 3.0, 2.0, 2.0), "min", 0.0, 20, 1),  # an equal one is no better
        ((0.0, 1.0, 2.0, 3.0), "max", 0.0, 30, 0),
        ((0.0, 3.0, 2.9, 2.8, 2.7), "min", 0.1, 30, 1),  # small steps count from the best one, not from the one before
        ((0.0, 3.0, 2.75), "min", 0.25, 10, 1),  # exactly min_delta is not more than it
        ((0.0, math.nan, math.inf, 4.0), "min", 0.0, 30, 0),
        ((0.0, 3.0, None, math.nan), "min", 0.0, 10, 2),
    ],
)
def test_standing(losses: Any, mode: str, delta: float, step: int | None, waited: int) -> None:
    found = standing(lines(*losses), Watched.model_validate({"mode": mode}), delta)
    assert (found.step, found.waited) == (step, waited)


def test_outside_the_guard_nothing_improves() -> None:
    rate = {"metric": "displacement_rate", "max": 0.8}
    rows = lines(0.7, 0.6, 0.5, 0.4, 0.3, displacement_rate=(0.0, 0.7, 0.8, 0.81, 0.9))
    found = standing(rows, Watched.model_validate({"guard": rate}))
    assert (found.step, found.value, found.waited) == (20, 0.5, 2)
    both = Watched.model_validate({"guard": {**rate, "min": 0.75}})
    assert standing(rows, both).step == 20
    assert standing(lines(0.7, 0.6, displacement_rate=(0.0, 0.1)), both).step is None
    assert standing(lines(0.7, 0.6), both).waited == 1  # a guard that is not measured guards all the same


def test_patience() -> None:
    keys = own(early_stopping={"metric": "loss", "patience": 2, "min_delta": 0.05})
    rows = lines(9.0, 3.0, 2.0, 1.99, 1.98)
    assert [has_stopped(rows[:end], keys) for end in range(0, len(rows), 2)] == [False] * 5
    assert has_stopped(rows, keys)
    assert not has_stopped(rows, own())


@pytest.mark.parametrize(
    ("keys", "step"),
    [
        ({}, None),
        ({"early_stopping": {"metric": "loss"}}, None),  # it ends early, with the last weights
        ({"select": "best"}, 20),
        ({"select": "best", "best_by": {"metric": "accuracy", "mode": "max"}}, 30),
        ({"select": "best", "early_stopping": {"metric": "accuracy", "mode": "max"}}, 30),
        ({"select": "best", "best_by": {"metric": "loss"}, "early_stopping": {"metric": "accuracy"}}, 20),
    ],
)
def test_what_best_means(keys: dict[str, Any], step: int | None) -> None:
    rows = lines(9.0, 3.0, 2.0, 2.5, accuracy=(0.0, 0.1, 0.2, 0.3))
    assert best_step(rows, own(**keys)) == step


def test_what_is_watched_must_be_measured() -> None:
    row = lines(1.0, kl_tok=(0.0,))[0]
    check_measured(row, own(select="best", early_stopping={"guard": {"metric": "kl_tok", "max": 1.0}}))
    with pytest.raises(
        WinnowError, match=r"recipe key early_stopping: 'f1' is not measured.*\n?.*use one of: kl_tok, loss"
    ):
        check_measured(row, own(early_stopping={"metric": "f1"}))
    with pytest.raises(WinnowError, match="recipe key best_by: 'reward' is not measured"):
        check_measured(row, own(select="best", best_by={"guard": {"metric": "reward", "max": 1.0}}))


def test_labels_that_no_run_scores_are_told_before_it_starts() -> None:
    guard = {"metric": "predicted_positive_rate/gen", "max": 0.8}
    keys = own(select="best", early_stopping={"metric": "macro_f1/gen", "mode": "max", "guard": guard})
    assert unscored_labels(keys, ["gen", "tweets"]) == []
    found = unscored_labels(keys, ["tweets"])
    assert [text.split(" is not measured")[0] for text in found] == [
        f"recipe key {key}: {metric!r}"
        for key in ("early_stopping", "best_by")
        for metric in ("macro_f1/gen", "predicted_positive_rate/gen")
    ]
    assert all("use one of: macro_f1/tweets, f1_positive/tweets" in text for text in found)
    bare = own(early_stopping={"metric": "macro_f1", "mode": "max"})  # of which dataset?
    assert "'macro_f1' is not measured in this run; this run scores no labelled rows" in unscored_labels(bare, [])[0]
    assert unscored_labels(own(early_stopping={"metric": "rewards/margins", "mode": "max"}), []) == []


def test_where_no_step_is_within_the_guard_the_last_is_taken_with_an_alarm(tmp_path: Any) -> None:
    keys = own(select="best", best_by={"guard": {"metric": "kl_tok", "max": 0.5}})
    never, once = lines(1.0, 0.5, kl_tok=(0.6, 0.7)), lines(1.0, 0.5, kl_tok=(0.7, 0.5))
    assert best_step(never, keys) is None  # the last
    (alarm,) = outside_guard(never, keys)
    assert (alarm["name"], alarm["value"], alarm["threshold"]) == ("outside_guard", 0.7, 0.5)
    assert alarm["step"] == 10
    check_selected(never, keys, tmp_path)
    assert outside_guard(once, keys) == []
    below = own(select="best", best_by={"guard": {"metric": "kl_tok", "min": 0.9, "max": 1.0}})
    assert outside_guard(never, below)[0]["threshold"] == 0.9
    assert outside_guard(never, own(select="last")) == outside_guard(never, own(select="best")) == []


def test_a_metric_that_was_never_a_number_selects_nothing(tmp_path: Any) -> None:
    keys = own(select="best", best_by={"metric": "kl_tok"})
    with pytest.raises(WinnowError, match="no measurement of kl_tok is a number"):
        check_selected(lines(1.0, 0.5, kl_tok=(float("nan"), float("nan"))), keys, tmp_path)
    check_selected(lines(1.0, 0.5, kl_tok=(float("nan"), 0.5)), keys, tmp_path)
