"""The numbers of one model, from its rows: pure functions, each number with its n and interval."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from winnow.core.statistics import cluster_bootstrap, ratio, wilson_interval

Row = Mapping[str, Any]


def _interval(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [round(bound, 6) for bound in interval]


def heldout_metrics(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """Return the mean loss in nats per response token, with perplexity.

    The mean is over tokens, so long responses weigh more; the interval resamples prompts.

    Args:
        rows: `prompt_id`, `nats` (minus log-probability of the whole response), `tokens`, `cut`.
        seed: of the bootstrap.
    """
    estimate = cluster_bootstrap(
        ((row["prompt_id"], (row["nats"], float(row["tokens"]))) for row in rows), ratio, seed=seed
    )
    interval = estimate.interval if estimate else None
    return {
        "n": len(rows),
        "prompts": len({row["prompt_id"] for row in rows}),
        "rows_cut": sum(bool(row["cut"]) for row in rows),
        "tokens": sum(row["tokens"] for row in rows),
        "loss": round(estimate.value, 6) if estimate else None,
        "loss_interval": _interval(interval),
        "perplexity": round(math.exp(estimate.value), 6) if estimate else None,
        "perplexity_interval": _interval((math.exp(interval[0]), math.exp(interval[1]))) if interval else None,
    }


def preference_metrics(rows: Sequence[Row]) -> dict[str, Any]:
    """Return how often the chosen response is the more probable one.

    A pair counts if the chosen response's summed log-probability is strictly higher: a tie is no
    preference, and is counted apart. A summed log-probability favours short responses, so two more
    numbers stand beside it: the same by the mean per token, and what a chooser by length alone
    reaches, the better of "the longer" and "the shorter" (equal lengths are half right).

    Args:
        rows: `prompt_id`, `chosen_logp`, `rejected_logp` in nats, `chosen_tokens`, `rejected_tokens`.
    """
    n = len(rows)
    margins = [row["chosen_logp"] - row["rejected_logp"] for row in rows]
    by_token = [
        row["chosen_logp"] / row["chosen_tokens"] - row["rejected_logp"] / row["rejected_tokens"] for row in rows
    ]
    right, right_by_token = sum(margin > 0 for margin in margins), sum(margin > 0 for margin in by_token)
    longer = sum(0.5 + 0.5 * _sign(row["chosen_tokens"] - row["rejected_tokens"]) for row in rows)
    return {
        "n": n,
        "prompts": len({row["prompt_id"] for row in rows}),
        "ties": sum(margin == 0 for margin in margins),
        "accuracy": round(right / n, 6) if n else None,
        "interval": _interval(wilson_interval(right, n)),
        "accuracy_per_token": round(right_by_token / n, 6) if n else None,
        "interval_per_token": _interval(wilson_interval(right_by_token, n)),
        "mean_margin": round(math.fsum(margins) / n, 6) if n else None,
        "length_only_accuracy": round(max(longer, n - longer) / n, 6) if n else None,
        "length_only_rule": ("longer" if longer >= n - longer else "shorter") if n else None,
    }


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
