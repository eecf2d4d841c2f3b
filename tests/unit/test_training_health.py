"""Alarms and stops, on rows written by hand."""

import math
from typing import Any

import pytest

from winnow.core.errors import WinnowError
from winnow.training.health import (
    alarms,
    check_explosion,
    check_first_step,
    check_kl,
    check_numbers,
    expected_first_loss,
)


def measured(step: int, **values: float) -> dict[str, Any]:
    row = {"delta_logp_chosen_per_token": 0.0, "displacement_rate": 0.0, "logp_chosen_per_token": -1.0}
    return {"step": step, "kind": "eval"} | row | values


def test_a_healthy_run_raises_nothing() -> None:
    edge = measured(
        5, delta_logp_chosen_per_token=-0.1, displacement_rate=0.8, logp_chosen_per_token=-9.0
    )  # thresholds themselves are allowed; likelihood counts at the start only
    assert alarms([measured(0, logp_chosen_per_token=-2.5), edge]) == []


def test_alarms_name_their_first_step() -> None:
    rows = [
        measured(0, logp_chosen_per_token=-2.6),
        measured(5, displacement_rate=0.81),
        {"step": 7, "kind": "train", "displacement_rate": 1.0},
        measured(10, displacement_rate=0.9, delta_logp_chosen_per_token=-0.11),
    ]
    assert [(alarm["name"], alarm["step"], alarm["value"]) for alarm in alarms(rows)] == [
        ("far_off_policy", 0, -2.6),
        ("displacement", 5, 0.81),
        ("chosen_less_likely", 10, -0.11),
    ]


def rates(*values: float) -> list[dict[str, Any]]:
    return [{"step": 10 * i, "kind": "eval", "predicted_positive_rate/posts": v} for i, v in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "selected", "step"),
    [
        ((1.0, 0.5, 0.95, 0.05), None, None),  # before the first step it does not count, nor do the bounds themselves
        ((0.5, 0.5, 0.96, 1.0), None, 20),
        ((0.5, 0.5, 0.0, 1.0), None, 20),  # from one answer to all to the other is no recovery
        ((0.5, 0.0, 0.0, 0.4), None, None),  # one that learns from nothing begins so
        ((0.5, 0.5, 1.0, 1.0), 10, None),  # the finished model is from before
        ((0.5, 1.0, 1.0, 0.5), 20, 10),
        ((1.0,), None, None),
    ],
)
def test_one_answer_to_all_is_an_alarm(values: tuple[float, ...], selected: int | None, step: int | None) -> None:
    found = alarms(rates(*values), selected)
    assert [(alarm["name"], alarm["step"]) for alarm in found] == ([("one_label/posts", step)] if step else [])


def kl(*values: float) -> list[dict[str, Any]]:
    return [{"step": step, "kind": "eval", "kl_tok": value} for step, value in enumerate(values)]


def test_a_real_kl_passes() -> None:
    check_kl(kl(0.0, 0.1, 0.1))
    check_kl([])


@pytest.mark.parametrize("values", [(0.0, 0.0, 0.0), (0.2, 0.3), (1e-15, 0.0)])
def test_a_kl_that_cannot_be_real_fails(values: tuple[float, ...]) -> None:
    """Rule C11: a public project logged a constant 0.0."""
    with pytest.raises(WinnowError, match="kl_tok"):
        check_kl(kl(*values))


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_is_told_with_what_went_before(loss: float) -> None:
    before = [{"step": step, "loss": 2.0, "grad_norm": 10.0**step} for step in (1, 2, 3, 4)]
    said = r"step 5: loss is .* \(before: step 2: .*step 4: loss 2, gradient 1e\+04"
    with pytest.raises(WinnowError, match=said):
        check_numbers({"step": 5, "loss": loss, "learning_rate": 0.1}, before)
    check_numbers({"step": 5, "loss": 2.0, "grad_norm": 1.0}, before)


@pytest.mark.parametrize(
    ("recipe", "loss"),
    [
        ({}, math.log(2)),
        ({"loss_type": ["ipo"], "beta": 0.1}, 25.0),
        ({"loss_type": ["hinge"]}, 1.0),
        ({"loss_type": ["sigmoid", "apo_zero"], "loss_weights": [0.5, 2.0]}, 0.5 * math.log(2) + 2.0),
        ({"loss_type": ["sigmoid", "sft"]}, None),  # depends on the data
        ({"use_weighting": True}, None),
    ],
)
def test_expected_first_loss(recipe: dict[str, Any], loss: float | None) -> None:
    assert expected_first_loss(recipe) == (None if loss is None else pytest.approx(loss))


@pytest.mark.parametrize(
    ("loss", "margin", "fine"),
    [
        (0.693147, 0.0, True),
        (0.6939, 0.0, True),  # within 1e-3
        (0.6945, 0.0, False),
        (0.60, 0.2, False),
        (0.693147, 0.01, False),  # the loss alone would pass
        (math.nan, math.nan, False),
    ],
)
def test_first_step(loss: float, margin: float, fine: bool) -> None:
    row = {"step": 1, "loss": loss, "rewards/margins": margin}
    if fine:
        check_first_step(row, {})
    else:
        with pytest.raises(WinnowError, match="the reference is not the model that is trained"):
            check_first_step(row, {})


def steps(*values: tuple[float, float]) -> list[dict[str, Any]]:
    return [{"step": step + 1, "loss": loss, "grad_norm": norm} for step, (loss, norm) in enumerate(values)]


CALM = [(2.0, 1.5)] * 12


@pytest.mark.parametrize(
    ("wild", "said"),
    [
        ([(9.0, 5.0), (9.5, 5.0), (11.0, 5.0)], "loss is step 13: 9; step 14: 9.5; step 15: 11, and was 2 before"),
        ([(2.0, 151.0), (2.0, 400.0), (3.0, 900.0)], "grad_norm is step 13: 151; .*, and was 1.5 before"),
    ],
)
def test_an_explosion_is_told(wild: list[tuple[float, float]], said: str) -> None:
    *history, last = steps(*CALM, *wild)
    with pytest.raises(WinnowError, match=f"step 15: the training has exploded: {said}"):
        check_explosion(last, history, 1.0)
    # Two steps of it are not enough, nor is a run that has only begun.
    check_explosion(history[-1], history[:-1], 1.0)
    *history, last = steps(*CALM[:9], *wild)
    check_explosion(last, history, 1.0)


@pytest.mark.parametrize(
    "values",
    [
        [*CALM, (2.0, 1.5), (60.0, 9000.0), (2.0, 1.5)],  # one wild batch
        [(0.001, 0.002)] * 12 + [(0.7, 0.9), (1.5, 3.0), (0.9, 2.0)],  # hard pairs after nearly perfect ones
        [(11.0, 80.0), (9.0, 40.0), (5.0, 9.0)] * 5,  # the steep beginning of a model from nothing
        [(25.0, 3.0)] * 12 + [(60.0, 5.0), (70.0, 5.0), (80.0, 5.0)],  # ipo with a small beta
    ],
)
def test_ordinary_trouble_is_no_explosion(values: list[tuple[float, float]]) -> None:
    rows = steps(*values)
    for index, row in enumerate(rows):
        check_explosion(row, rows[:index], 1.0)
