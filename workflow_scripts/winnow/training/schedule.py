"""How many steps a run takes, and at which of them it measures and saves."""

import math
from dataclasses import dataclass

from winnow.core.errors import WinnowError


@dataclass(frozen=True)
class Schedule:
    """Counts that follow from rows, batch and recipe.

    Attributes:
        accumulation: batches per process whose gradients make one step.
        steps_per_epoch: optimiser steps in one pass over the rows.
        total_steps: optimiser steps of the whole run.
        eval_steps: the run measures itself every so many steps, and at the first and last.
        save_steps: it saves a checkpoint every so many steps.
        repeated: rows in each epoch that are trained on twice, so that every process has a full last batch.
    """

    accumulation: int
    steps_per_epoch: int
    total_steps: int
    eval_steps: int
    save_steps: int
    repeated: int = 0


def accumulation_steps(effective: int, processes: int, per_device: int) -> int:
    """Return how many batches make one step, so that the effective batch is exactly the recipe's.

    Raises:
        WinnowError: where that is not a whole number.
    """
    together = processes * per_device
    if effective < together or effective % together:
        raise WinnowError(
            "recipe key effective_batch_size",
            f"{effective} is not a multiple of {processes} processes x {per_device} rows each = {together}",
            f"change effective_batch_size or per_device_train_batch_size so that {together} divides it",
        )
    return effective // together


def steps_of(value: float, total: int, key: str) -> int:
    """Return a number of steps given as such, or below 1 as a share of all steps (at least one step).

    Raises:
        WinnowError: for a value that is neither.
    """
    if 0 < value < 1:
        return max(1, math.floor(total * value + 1e-9))
    if value < 1 or value != int(value):
        raise WinnowError(
            f"recipe key {key}", f"is {value:g}", "give a whole number of steps, or a share of all steps in (0, 1)"
        )
    return int(value)


def schedule(
    rows: int,
    *,
    effective: int,
    processes: int,
    per_device: int,
    epochs: float,
    max_steps: int,
    eval_steps: float,
    save_steps: float,
) -> Schedule:
    """Return the schedule of a run over `rows` rows; `max_steps` above 0 overrides `epochs`."""
    accumulation = accumulation_steps(effective, processes, per_device)
    batches = math.ceil(math.ceil(rows / per_device) / processes)
    per_epoch = max(1, math.ceil(batches / accumulation))
    total = max_steps if max_steps > 0 else math.ceil(epochs * per_epoch)
    return Schedule(
        accumulation=accumulation,
        steps_per_epoch=per_epoch,
        total_steps=total,
        eval_steps=steps_of(eval_steps, total, "eval_steps"),
        save_steps=steps_of(save_steps, total, "save_steps"),
        repeated=batches * processes * per_device - rows if processes > 1 else 0,
    )
