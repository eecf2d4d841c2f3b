"""Which arm of a sweep is chosen: on validation numbers of its training alone, with the reason and what it cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from winnow.core.config.base import Stage
from winnow.core.config.runs import ResolvedRun
from winnow.core.ids import canonical_json
from winnow.evaluation.resampling import rounded
from winnow.numerics.labels import METRICS as LABEL_METRICS


@dataclass(frozen=True)
class Criterion:
    """The validation number that decides, as metrics.jsonl names it on eval lines."""

    metric: str
    best: Literal["highest", "lowest"]


CRITERIA: dict[Stage, Criterion] = {
    "sft": Criterion("loss", "lowest"),
    "dpo": Criterion("rewards/accuracies", "highest"),
}


def criterion_of(run: ResolvedRun) -> Criterion:
    """Return what decides among the arms of a run's sweep: a number of labels that its recipe chooses a step by.

    Of other numbers a recipe may choose steps by, some cannot be compared between arms: a DPO loss depends on beta.
    """
    watched = run.recipe.get("best_by") or run.recipe.get("early_stopping") or {}
    metric = str(watched.get("metric"))
    if run.recipe.get("select") == "best" and metric.partition("/")[0] in LABEL_METRICS:
        return Criterion(metric, "highest" if watched.get("mode") == "max" else "lowest")
    return CRITERIA[run.stage]


# What stands beside it, and what moving away from the reference cost at the last measurement.
SHOWN = ("loss", "rewards/accuracies", "rewards/margins")
COST = ("kl_seq", "kl_tok", "delta_logp_chosen_per_token", "displacement_rate")


def _mean(rows: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """Return the mean over seeds; None unless every seed has the number."""
    known = [row[key] for row in rows if row.get(key) is not None]
    return rounded(math.fsum(known) / len(known)) if known and len(known) == len(rows) else None


def _candidate(
    names: Sequence[str],
    swept: Mapping[str, Any],
    seeds: Sequence[int],
    training: Mapping[str, Mapping[str, Any]],
    manifests: Mapping[str, Mapping[str, Any]],
    *,
    criterion: Criterion,
) -> dict[str, Any]:
    last = [training.get(name, {}).get("eval", {}) for name in names]
    counts = [manifests.get(name, {}).get("counts", {}) for name in names]
    _, _, dataset = criterion.metric.partition("/")
    rows = {count.get("scored", {}).get(dataset, count.get("rows", {}).get("val")) for count in counts}
    return {
        "run": names[0],
        "runs": list(names),
        "seeds": sorted(seeds),
        "swept": dict(swept),
        "validation": {key: _mean(last, key) for key in (*SHOWN, criterion.metric)},
        "validation_rows": rows.pop() if len(rows) == 1 else None,
        "cost": {key: _mean(last, key) for key in COST},
        "alarms": sorted({alarm["name"] for name in names for alarm in manifests.get(name, {}).get("alarms") or ()}),
    }


def _order(candidate: Mapping[str, Any], criterion: Criterion) -> tuple[Any, ...]:
    """Return what candidates are sorted by, the best first: alarms, the number, then the smaller change."""
    value = candidate["validation"][criterion.metric]
    kl, beta = candidate["cost"]["kl_seq"], candidate["swept"].get("beta", 0)
    signed = -value if criterion.best == "highest" else value
    return bool(candidate["alarms"]), signed, -beta, math.inf if kl is None else kl, candidate["run"]


def _why(ranked: Sequence[Mapping[str, Any]], unmeasured: int, criterion: Criterion) -> str:
    """Return the reason in plain words."""
    metric = criterion.metric
    if not ranked:
        return f"no arm is chosen: no training has {metric} on validation rows"
    best = ranked[0]
    value, rows = best["validation"][metric], best["validation_rows"]
    of_rows = "" if rows is None else f", {rows} rows"
    if best["alarms"]:
        why = f"every arm raised an alarm in training; among them it has the {criterion.best} {metric}"
    elif any(other["alarms"] for other in ranked):
        why = f"of the arms without an alarm in training it has the {criterion.best} {metric}"
    else:
        why = f"it has the {criterion.best} {metric}"
    why += f" on validation rows ({value:.4g}{of_rows})"
    rivals = [other for other in ranked[1:] if bool(other["alarms"]) == bool(best["alarms"])]
    tied = [other for other in rivals if other["validation"][metric] == value]
    if tied:
        reason = "the larger beta" if best["swept"].get("beta", 0) > tied[0]["swept"].get("beta", 0) else "less change"
        why += f", like {', '.join(other['run'] for other in tied)}, and {reason}"
    elif rivals:
        why += f"; the next, {rivals[0]['run']}, has {rivals[0]['validation'][metric]:.4g}"
    if unmeasured:
        why += f"; {unmeasured} without that number could not be chosen"
    return why


def decide_sweeps(
    runs: Sequence[ResolvedRun],
    alike: Mapping[str, Sequence[str]],
    swept: Mapping[str, Mapping[str, Any]],
    training: Mapping[str, Mapping[str, Any]],
    manifests: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return the decision record of each entry of the study that became several settings.

    Seeds of one setting are averaged. Arms whose training raised an alarm lose against arms without. Then the
    validation number decides (of labels what the recipe chooses a step by; else of SFT the loss, of DPO the accuracy of
    rewards); of equal ones the larger beta, then the smaller KL. Held-out numbers are not looked at.

    Args:
        runs: of the study.
        alike: for each run the runs that have its settings but for the seed.
        swept: for each run the recipe keys in which its siblings differ; siblings' names agree up to the first hyphen.
        training: the last train line of each run, and the eval line of its finished model.
        manifests: manifest.json of each run's training.
    """
    entries: dict[str, list[ResolvedRun]] = {}
    for run in runs:
        if swept[run.name]:
            entries.setdefault(run.name.split("-")[0], []).append(run)
    seeds = {run.name: run.seed for run in runs}
    records = []
    for entry, siblings in sorted(entries.items()):
        settings = {tuple(alike[run.name]): swept[run.name] for run in siblings}
        if len({canonical_json(one) for one in settings.values()}) < 2:
            continue
        criterion = criterion_of(siblings[0])
        candidates = [
            _candidate(names, keys, [seeds[name] for name in names], training, manifests, criterion=criterion)
            for names, keys in sorted(settings.items())
        ]
        known = [one for one in candidates if one["validation"][criterion.metric] is not None]
        ranked = sorted(known, key=lambda one: _order(one, criterion))
        records.append(
            {
                "entry": entry,
                "stage": siblings[0].stage,
                "keys": sorted({key for one in settings.values() for key in one}),
                "chosen": ranked[0]["run"] if ranked else None,
                "by": {"metric": criterion.metric, "best": criterion.best, "rows": "validation"},
                "why": _why(ranked, len(candidates) - len(known), criterion),
                "candidates": candidates,
            }
        )
    return records
