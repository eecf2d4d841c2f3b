"""optimal_checklist.json: the chosen items with all that a judge needs, and beside them what they are worth."""

from typing import Any

import numpy as np

from winnow.core.config.signals import ChecklistOptimization
from winnow.core.ids import canonical_json, sha256_text
from winnow.scoring.checklist import Checklist
from winnow.scoring.optimization.matrix import Matrix
from winnow.scoring.optimization.optimize import Outcome
from winnow.scoring.optimization.reading import Joined
from winnow.scoring.optimization.significance import L1_STRENGTH, p_value

STABLE = 0.6  # share of resampled choices from which an item counts as stable


def settings_that_count(settings: ChecklistOptimization) -> dict[str, Any]:
    """Return the settings that the choice depends on. Where the labels lie is none: they are an input, by hash."""
    return settings.model_dump(mode="json", exclude={"labels", "strict", "retest_sample"})


def as_json(
    outcome: Outcome, matrix: Matrix, joined: Joined, candidates: Checklist, settings: ChecklistOptimization
) -> dict[str, Any]:
    """Return the content of optimal_checklist.json; numbers rounded to 6 places, missing ones null.

    Args:
        outcome: of the search.
        matrix: what it was made on.
        joined: where that came from.
        candidates: the checklist that was chosen from.
        settings: of the search.
    """
    size, screened = len(outcome.chosen), outcome.screened
    place = {item: number for number, item in enumerate(screened.survivors)}
    others = [item for item in screened.survivors if item not in outcome.chosen]
    content = {
        "version": candidates.version,
        "status": outcome.status,
        "target": settings.target,
        "K": size,
        "questions": [
            matrix.items[item].model_dump(mode="json")
            | {"cluster_id": screened.clusters[place[item]], "weight": 1, "order": order}
            | {"stats": _stats(outcome, item)}
            for order, item in enumerate(outcome.chosen, 1)
        ],
        "not_chosen": [
            {"id": matrix.items[item].id, "cluster_id": screened.clusters[place[item]], "stats": _stats(outcome, item)}
            for item in others
        ],
        "dropped": [
            {"id": matrix.items[one.item].id, "reason": one.reason, "cluster_id": one.cluster}
            for one in screened.dropped
        ],
        "threshold": outcome.threshold,
        "cv": _curve(outcome),
        "paper_votes": None if outcome.votes is None else vars(outcome.votes),
        "permutation": {
            "p": outcome.p,
            "B": len(outcome.permutations.null),
            "null95": float(np.quantile(outcome.permutations.null, 0.95)),
            "p_all_steps": p_value(outcome.permutations.null_all_steps, outcome.auc),
        },
        "baselines": {
            "random": {
                "mean": outcome.baselines.random_mean,
                "se": outcome.baselines.random_error,
                "subsets": len(outcome.baselines.random),
            },
            "all_candidates": outcome.baselines.all_candidates,
            "all_survivors": outcome.baselines.all_survivors,
            "length": outcome.baselines.length,
            "l1_logistic": {"auc": outcome.baselines.l1_logistic, "strength": L1_STRENGTH},
        },
        "data": _data(matrix, joined),
        "candidates_sha": candidates.sha256,
        "seed": settings.seed,
        "config_sha": sha256_text(canonical_json(settings_that_count(settings))),
    }
    return dict(_rounded(content))


def _data(matrix: Matrix, joined: Joined) -> dict[str, Any]:
    return {
        "n_reviews": len(matrix.ids),
        "n_papers": len(np.unique(matrix.papers)),
        "n_groups": len(matrix.group_names),
        "n_retested": None if joined.repeats is None else joined.retested,
        "share_labelled_1": float(matrix.labels.mean()),
        "split_sha": joined.splits_sha,
        "judged_sha": joined.judged_sha,
        "judge": joined.judge,
    }


def _curve(outcome: Outcome) -> dict[str, Any]:
    at = len(outcome.chosen) - 1
    return {
        "auc": outcome.auc,
        "se": float(outcome.curve.error[at]),
        "folds": [None if np.isnan(value) else float(value) for value in outcome.by_fold[:, at]],
        "curve": [
            {"k": k, "auc": float(mean), "se": float(error)}
            for k, (mean, error) in enumerate(zip(outcome.curve.mean, outcome.curve.error, strict=True), 1)
        ],
    }


def _stats(outcome: Outcome, item: int) -> dict[str, Any]:
    """Return what is known of an item; `phi_max` is its largest correlation, absolute, with a chosen other."""
    measured, place = outcome.screened.measured[item], outcome.screened.survivors.index(item)
    frequency = float(outcome.frequency[place])
    return vars(measured) | {
        "phi_max": max(abs(float(outcome.screened.phi[item, other])) for other in outcome.chosen if other != item),
        "selection_freq": frequency,
        "stable": frequency >= STABLE,
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) + 0.0  # no negative zero
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return value
