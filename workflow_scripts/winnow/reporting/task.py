"""What a comparison is about, in the words of its own file: papers that are accepted, posts that are sarcastic."""

from collections.abc import Mapping
from typing import Any

from winnow.core.errors import WinnowError

COMPARISON = "comparison/comparison.json"
# Keys of a JSON file have no order: exact probabilities first, then what is not left to chance.
DECODINGS = ("logprob", "greedy", "sampled")
NO_TASK: Mapping[str, Any] = {"item": "prompt", "items": "prompts", "class_titles": {}}  # nothing was compared


def task_of(comparison: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the words of a comparison; those for anything where there is none.

    Raises:
        WinnowError: if a comparison does not say what it is about.
    """
    if comparison is None:
        return NO_TASK
    if "task" not in comparison:
        fix = "compare again: run snakemake with --forcerun compare_runs"
        raise WinnowError(COMPARISON, "does not say what its task is (key task)", fix)
    task: Mapping[str, Any] = comparison["task"]
    return task


def inside(title: str) -> str:
    """Return a title as it stands inside a sentence: "People" as "people", and "TF-IDF" as it is."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title
