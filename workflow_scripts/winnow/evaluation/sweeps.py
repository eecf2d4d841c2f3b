"""Which arm of a sweep is chosen: on validation numbers of its training alone, with the reason and what it cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from winnow.core.config.base import Stage
from winnow.core.config.runs import Guard, ResolvedRun, Watched
from winnow.core.ids import canonical_json
from winnow.evaluation.resampling import rounded
from winnow.numerics.labels import METRICS as LABEL_METRICS


@dataclass(frozen=True)
class Criterion:
    """The validation number that decides.

    Attributes:
        metric: as metrics.jsonl names it on eval lines.
        best: which value is.
        guard: bounds of another number, outside of which an arm is not chosen.
        named_by: the recipe key that names all this; None where it is the stage's.
    """

    metric: str
    best: Literal["highest", "lowest"]
    guard: Guard | None = None
    named_by: Literal["best_by", "early_stopping"] | None = None

    @property
    def numbers(self) -> tuple[str, ...]:
        """All metrics that it reads."""
        return (self.metric, *([self.guard.metric] if self.guard else []))

    def words(self) -> str:
        """Return it in words."""
        told = f"the {self.best} {self.metric} on validation rows"
        if self.guard:
            told += f", of the arms with {guarded(self.guard)}"
        return f"{told} ({self.named_by} of the recipe)" if self.named_by else told


CRITERIA: dict[Stage, Criterion] = {
    "sft": Criterion("loss", "lowest"),
    "dpo": Criterion("rewards/accuracies", "highest"),
}
# What stands beside it, and what moving away from the reference cost at the last measurement.
SHOWN = ("loss", "rewards/accuracies", "rewards/margins")
COST = ("kl_seq", "kl_tok", "delta_logp_chosen_per_token", "displacement_rate")


def guarded(guard: Guard) -> str:
    """Return the bounds of a guard in words."""
    if guard.min is not None and guard.max is not None:
        return f"{guard.metric} from {guard.min:g} to {guard.max:g}"
    return f"{guard.metric} of " + (f"at most {guard.max:g}" if guard.min is None else f"at least {guard.min:g}")


def criterion_of(runs: Sequence[ResolvedRun]) -> Criterion:
    """Return what decides between runs of a stage: the number of labels that their recipes watch, else the stage's.

    `best_by` goes before `early_stopping`, as it does where a step is selected. Other numbers that a recipe may watch
    cannot be compared between arms: a DPO loss depends on beta. Runs that watch different things are compared by what
    all runs of their stage have.
    """
    found = set()
    for run in runs:
        named: Literal["best_by", "early_stopping"] = "best_by" if run.recipe.get("best_by") else "early_stopping"
        settings = run.recipe.get(named)
        if settings is None or str(settings["metric"]).partition("/")[0] not in LABEL_METRICS:
            return CRITERIA[run.stage]
        watched = Watched.model_validate({key: settings[key] for key in Watched.model_fields if key in settings})
        best: Literal["highest", "lowest"] = "highest" if watched.mode == "max" else "lowest"
        found.add(Criterion(watched.metric, best, watched.guard, named))
    # Which key names it does not matter to the number.
    if len({replace(one, named_by=None) for one in found}) > 1:
        return CRITERIA[runs[0].stage]
    return min(found, key=lambda one: str(one.named_by))


def _is_guarded(row: Mapping[str, Any], guard: Guard) -> bool:
    value = row.get(guard.metric)
    return value is not None and (guard.min is None or value >= guard.min) and (guard.max is None or value <= guard.max)


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
    # The measurement of the weights that are kept: of the selected step, else the last.
    last = [training.get(name, {}).get("selected") or training.get(name, {}).get("eval", {}) for name in names]
    counts = [manifests.get(name, {}).get("counts", {}) for name in names]
    # Numbers of labels are measured on rows of their own.
    part, key = ("scored", criterion.metric.partition("/")[2]) if criterion.named_by else ("rows", "val")
    rows = {count.get(part, {}).get(key) for count in counts}
    return {
        "run": names[0],
        "runs": list(names),
        "seeds": sorted(seeds),
        "swept": dict(swept),
        "validation": {key: _mean(last, key) for key in dict.fromkeys((*SHOWN, *criterion.numbers))},
        "validation_rows": rows.pop() if len(rows) == 1 else None,
        "cost": {key: _mean(last, key) for key in COST},
        "alarms": sorted({alarm["name"] for name in names for alarm in manifests.get(name, {}).get("alarms") or ()}),
        # The mean of two seeds that each give one answer only would be well within bounds.
        **({"guarded": all(_is_guarded(row, guard) for row in last)} if (guard := criterion.guard) else {}),
    }


def _order(candidate: Mapping[str, Any], criterion: Criterion) -> tuple[Any, ...]:
    """Return what candidates are sorted by, the best first: alarms, the number, then the smaller change."""
    value = candidate["validation"][criterion.metric]
    kl, beta = candidate["cost"]["kl_seq"], candidate["swept"].get("beta", 0)
    signed = -value if criterion.best == "highest" else value
    return bool(candidate["alarms"]), signed, -beta, math.inf if kl is None else kl, candidate["run"]


def _why(ranked: Sequence[Mapping[str, Any]], unmeasured: int, outside: int, criterion: Criterion) -> str:
    """Return the reason in plain words.

    Args:
        ranked: candidates that may be chosen, the best first.
        unmeasured: how many lack the number.
        outside: how many have it, and are outside the guard.
        criterion: what decides.
    """
    metric = criterion.metric
    within = f"with {guarded(criterion.guard)}" if criterion.guard else ""
    if not ranked and outside:
        return f"no arm is chosen: none is {within} on validation rows"
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
    if outside:
        why += f"; {outside} not {within} could not be chosen"
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
    validation number decides: of labels what the recipe watches, else of SFT the loss, of DPO the accuracy of rewards;
    of equal ones the larger beta, then the smaller KL. Where the recipe has a guard, an arm of which some seed is
    outside is not chosen. Held-out numbers are not looked at.

    Args:
        runs: of the study.
        alike: for each run the runs that have its settings but for the seed.
        swept: for each run the recipe keys in which its siblings differ; siblings' names agree up to the first hyphen.
        training: the last train and eval line of each run, and `selected`, the eval line of the step whose weights
            are kept, where that is not the last.
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
        criterion = criterion_of(siblings)
        candidates = [
            _candidate(names, keys, [seeds[name] for name in names], training, manifests, criterion=criterion)
            for names, keys in sorted(settings.items())
        ]
        known = [one for one in candidates if one["validation"][criterion.metric] is not None]
        ranked = sorted((one for one in known if one.get("guarded", True)), key=lambda one: _order(one, criterion))
        records.append(
            {
                "entry": entry,
                "stage": siblings[0].stage,
                "keys": sorted({key for one in settings.values() for key in one}),
                "chosen": ranked[0]["run"] if ranked else None,
                "by": {
                    "metric": criterion.metric,
                    "best": criterion.best,
                    "rows": "validation",
                    "words": criterion.words(),
                },
                "why": _why(ranked, len(candidates) - len(known), len(known) - len(ranked), criterion),
                "candidates": candidates,
            }
        )
    return records
