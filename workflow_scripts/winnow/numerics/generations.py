"""What a model generated, graded and summed up."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from winnow.core.ids import unit_interval

Grader = Callable[[str, Any], Mapping[str, float]]


class Generation(TypedDict):
    """A generated response.

    Keys:
        prompt: the text that it answers.
        response: without special tokens.
        ground_truth: what the grader compares it with.
        mean_entropy: of the distributions that its tokens were drawn from, in nats.
        tokens: its length, the end token included.
        stop_reason: "stop" where the model ended it, "length" where the limit did.
    """

    prompt: str
    response: str
    ground_truth: Any
    mean_entropy: float
    tokens: int
    stop_reason: str


def mean(values: Sequence[float]) -> float | None:
    """Return the mean to six places; None of nothing, never 0."""
    return round(math.fsum(values) / len(values), 6) if values else None


def summarize_generations(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how generations ended, how long they are and how sure the model was.

    Args:
        rows: each with `stop_reason`, `tokens` and `mean_entropy`.
    """
    return {
        "n": len(rows),
        "stop_reasons": dict(sorted(Counter(row["stop_reason"] for row in rows).items())),
        "mean_tokens": mean([row["tokens"] for row in rows]),
        "mean_entropy": mean([row["mean_entropy"] for row in rows]),
    }


def log_generations(
    generations: Sequence[Generation], grader: Grader, *, prompts: int | None = None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Grade generations and return a row of each, and their summary.

    Args:
        generations: in any order.
        grader: from response and ground truth to `format_reward`, `answer_reward` and `reward`.
        prompts: of how many prompts at most, those that come first by a hash of their text; None takes all.

    Returns:
        rows: every generation of these prompts with its `reward`, in the order of the hash and of responses.
        summary: as of `summarize_generations`, with the mean of each reward, and the mean length of responses with
            `answer_reward` 1 and of those with less. What nothing was averaged for is None.
    """

    def rank(text: str) -> tuple[float, str]:
        return unit_interval(text, "generations"), text

    chosen = sorted({generation["prompt"] for generation in generations}, key=rank)[:prompts]
    order = {prompt: index for index, prompt in enumerate(chosen)}
    kept = [one for one in generations if one["prompt"] in order]
    kept.sort(key=lambda one: (order[one["prompt"]], one["response"]))
    rows: list[dict[str, Any]] = [{**one, "reward": dict(grader(one["response"], one["ground_truth"]))} for one in kept]
    right = [row["tokens"] for row in rows if row["reward"]["answer_reward"] == 1]
    wrong = [row["tokens"] for row in rows if row["reward"]["answer_reward"] != 1]
    names = ("format_reward", "answer_reward", "reward")
    return rows, {
        **summarize_generations(rows),
        "mean_tokens_correct": mean(right),
        "mean_tokens_incorrect": mean(wrong),
        **{f"mean_{name}": mean([row["reward"][name] for row in rows]) for name in names},
    }
