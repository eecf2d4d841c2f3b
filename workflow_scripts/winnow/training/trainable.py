"""How many parameters a run trains, and whether that is what its recipe says."""

from typing import Any

from winnow.core.config.runs import ResolvedRun
from winnow.core.errors import WinnowError
from winnow.training.sharding import size_of

KEY = "trainable_parameters"


def trainable_parameters(model: Any) -> int:
    """Return how many parameters of a model have gradients, those that other processes hold among them."""
    return sum(size_of(parameter) for parameter in model.parameters() if parameter.requires_grad)


def trainable_problems(run: ResolvedRun, trained: int) -> list[str]:
    """Return why a run that trains so many parameters is not the one that its recipe says; empty where it is."""
    asserted = run.recipe.get(KEY)
    if asserted is None or asserted == trained:
        return []
    return [
        f"recipe key {KEY}: is {asserted:,}, and {trained:,} parameters would be trained;"
        " change the adapter's keys or the model, or correct the number"
    ]


def check_trainable(run: ResolvedRun, model: Any) -> None:
    """Check before the first step that a model trains as many parameters as the run's recipe says.

    Raises:
        WinnowError: if not.
    """
    for problem in trainable_problems(run, trainable_parameters(model)):
        raise WinnowError(f"run {run.name}", problem)
