"""Steps of a run: the effective batch is the invariant, shares of steps are rounded down but never to nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.core.errors import WinnowError
from winnow.training.schedule import accumulation_steps, schedule, steps_of


@pytest.mark.parametrize(
    ("effective", "processes", "per_device", "accumulation"),
    [(16, 8, 1, 2), (16, 1, 1, 16), (16, 2, 8, 1), (8, 1, 4, 2), (1, 1, 1, 1)],
)
def test_accumulation(effective: int, processes: int, per_device: int, accumulation: int) -> None:
    assert accumulation_steps(effective, processes, per_device) == accumulation


@pytest.mark.parametrize(("effective", "processes", "per_device"), [(16, 8, 4), (16, 3, 1), (10, 2, 2)])
def test_accumulation_must_be_whole(effective: int, processes: int, per_device: int) -> None:
    with pytest.raises(WinnowError, match="is not a multiple of"):
        accumulation_steps(effective, processes, per_device)


def test_published_steps() -> None:
    """842 rows at an effective batch of 16 on 8 GPUs are 53 steps an epoch, not 7."""
    made = schedule(
        842, effective=16, processes=8, per_device=1, epochs=3, max_steps=-1, eval_steps=0.1, save_steps=0.1
    )
    assert (made.accumulation, made.steps_per_epoch, made.total_steps, made.eval_steps) == (2, 53, 159, 15)


@pytest.mark.parametrize(
    ("value", "total", "steps"),
    [
        (0.1, 30, 3),
        (0.1, 70, 7),
        (0.29, 100, 29),  # 28.999999999999996 in floating point
        (0.1, 4, 1),  # never nothing
        (0.5, 7, 3),
        (20, 7, 20),
        (1, 7, 1),
    ],
)
def test_steps_of(value: float, total: int, steps: int) -> None:
    assert steps_of(value, total, "eval_steps") == steps


@pytest.mark.parametrize("value", [0, -1, 2.5, -0.5])
def test_steps_that_are_neither(value: float) -> None:
    with pytest.raises(WinnowError, match="recipe key save_steps: is"):
        steps_of(value, 10, "save_steps")


@given(st.integers(1, 5000), st.sampled_from([1, 2, 4, 8]), st.integers(1, 4), st.integers(1, 4))
def test_every_row_is_in_some_step(rows: int, per_device: int, accumulation: int, processes: int) -> None:
    effective = per_device * accumulation * processes
    made = schedule(
        rows, effective=effective, processes=processes, per_device=per_device, epochs=2, max_steps=-1,
        eval_steps=0.1, save_steps=0.1,
    )  # fmt: skip
    assert made.steps_per_epoch * effective >= rows > (made.steps_per_epoch - 1) * effective
    assert made.total_steps == 2 * made.steps_per_epoch
    assert 1 <= made.eval_steps <= math.ceil(made.total_steps / 10)
