"""Runs side by side: their numbers, and paired differences to the base model and to each run's parent."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from winnow.core.config.runs import ResolvedRun
from winnow.core.errors import WinnowError
from winnow.core.ids import canonical_json
from winnow.core.statistics import cluster_bootstrap, ratio_difference, wilson_interval
from winnow.evaluation.measured import Measured
from winnow.evaluation.resampling import BOOTSTRAP_SEED
from winnow.evaluation.responses_compared import compare_responses
from winnow.evaluation.sweeps import decide_sweeps

Row = Mapping[str, Any]
RowsById = Mapping[str, Row]

_UNTRAINED: dict[str, Any] = {"stage": "base", "seeds": [], "swept": {}, "training": {}} | dict.fromkeys(
    ("parent", "seed", "beta", "to_base", "to_parent")
)


def read_measured(path: Path) -> dict[str, dict[str, Row]]:
    """Return the rows of a rows.jsonl by what was measured: heldout, sample or preferences/<dataset> → id → row."""
    tables: dict[str, dict[str, Row]] = {"heldout": {}}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            name = f"preferences/{row['dataset']}" if row["kind"] == "preference" else row["kind"]
            tables.setdefault(name, {})[row["id"]] = row
    return tables


def last_logged(path: Path, selected: int | None = None) -> dict[str, Any]:
    """Return the last train line of a run's metrics.jsonl and the eval line of its finished model, by kind.

    Args:
        path: metrics.jsonl.
        selected: the step whose weights are the finished model; None for the last.
    """
    last: dict[str, Any] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["kind"] == "eval" and selected is not None and row["step"] > selected:
                continue
            last[row["kind"]] = {**last.get(row["kind"], {}), **row}
    return {kind: {key: row[key] for key in sorted(row) if key != "kind"} for kind, row in sorted(last.items())}


def _paired(ours: RowsById, theirs: RowsById, run: str, other: str) -> list[tuple[Row, Row]]:
    """Return the rows of two runs, item by item."""
    if ours.keys() != theirs.keys():
        lacking = len(ours.keys() ^ theirs.keys())
        raise WinnowError(
            f"{run} and {other}",
            f"were measured on different rows: {lacking} are in one of them only",
            "evaluate both again: run snakemake with --forcerun on their metrics.json",
        )
    return [(ours[key], theirs[key]) for key in sorted(ours)]


def _difference(rows: Iterable[tuple[str, Sequence[float]]], n: int) -> dict[str, Any]:
    """Return the difference of the ratios of the first and the last two columns, by a paired bootstrap."""
    estimate = cluster_bootstrap(rows, ratio_difference, seed=BOOTSTRAP_SEED)
    interval = estimate.interval if estimate else None
    return {
        "n": n,
        "prompts": estimate.clusters if estimate else 0,
        "value": round(estimate.value, 6) if estimate else None,
        "interval": [round(bound, 6) for bound in interval] if interval else None,
    }


def loss_difference(ours: RowsById, theirs: RowsById, run: str, other: str) -> dict[str, Any]:
    """Return our mean loss minus theirs, in nats per token: below 0, ours is better."""
    pairs = _paired(ours, theirs, run, other)
    rows = ((a["prompt_id"], (a["nats"], a["tokens"], b["nats"], b["tokens"])) for a, b in pairs)
    return _difference(rows, len(pairs))


def _prefers(row: Row) -> float:
    return float(row["chosen_logp"] > row["rejected_logp"])


def accuracy_difference(ours: RowsById, theirs: RowsById, run: str, other: str) -> dict[str, Any]:
    """Return our preference accuracy minus theirs: above 0, ours is better."""
    pairs = _paired(ours, theirs, run, other)
    rows = ((a["prompt_id"], (_prefers(a), 1.0, _prefers(b), 1.0)) for a, b in pairs)
    return _difference(rows, len(pairs))


def reward_accuracy(ours: RowsById, theirs: RowsById, run: str, other: str) -> dict[str, Any]:
    """Return how often training raised the chosen response against the rejected one.

    That is the sign of DPO's implicit reward margin with the parent as reference. What the parent
    thinks of the pair cancels, its preference for short responses included. A tie counts as wrong.
    """
    pairs = _paired(ours, theirs, run, other)
    right = sum((a["chosen_logp"] - b["chosen_logp"]) > (a["rejected_logp"] - b["rejected_logp"]) for a, b in pairs)
    interval = wilson_interval(right, len(pairs))
    return {
        "n": len(pairs),
        "prompts": len({a["prompt_id"] for a, _ in pairs}),
        "value": round(right / len(pairs), 6) if pairs else None,
        "interval": [round(bound, 6) for bound in interval] if interval else None,
    }


def differences(measured: Mapping[str, Mapping[str, RowsById]], run: str, other: str) -> dict[str, Any]:
    """Return every paired difference of a run to another."""
    ours, theirs = measured[run], measured[other]
    names = sorted(name for name in ours if name.startswith("preferences/"))
    return {
        "to": other,
        "loss": loss_difference(ours["heldout"], theirs["heldout"], run, other),
        "preferences": {
            name.removeprefix("preferences/"): {
                "accuracy": accuracy_difference(ours[name], theirs.get(name, {}), run, other),
                "reward_accuracy": reward_accuracy(ours[name], theirs.get(name, {}), run, other),
            }
            for name in names
        },
    }


def runs_alike(runs: Iterable[ResolvedRun]) -> dict[str, list[str]]:
    """Return for each run the names of all runs that have its settings but for the seed, its own among them."""
    runs = list(runs)
    settings = {run.name: canonical_json(run.model_dump(mode="json", exclude={"name", "seed"})) for run in runs}
    return {
        run.name: sorted(other.name for other in runs if settings[other.name] == settings[run.name]) for run in runs
    }


def swept_settings(runs: Iterable[ResolvedRun]) -> dict[str, dict[str, Any]]:
    """Return for each run of a sweep the recipe keys that its siblings have otherwise.

    Siblings come from one entry of the study: their names agree up to the first hyphen.
    """
    runs = list(runs)
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        siblings = [other.recipe for other in runs if other.name.split("-")[0] == run.name.split("-")[0]]
        kinds = {key: {canonical_json(recipe.get(key)) for recipe in siblings} for key in run.recipe}
        found[run.name] = {key: run.recipe[key] for key in sorted(kinds) if len(kinds[key]) > 1}
    return found


def compare(
    study: str,
    *,
    modalities: Sequence[str],
    runs: Sequence[ResolvedRun],
    metrics: Mapping[str, Mapping[str, Any]],
    measured: Mapping[str, Mapping[str, RowsById]],
    training: Mapping[str, Mapping[str, Any]],
    responses: Measured | None = None,
    manifests: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return all of comparison.json. In its tables the base model is first, then the runs, each after its parent.

    Args:
        study: its name.
        modalities: in the order of the study.
        runs: of the study, resolved.
        metrics: metrics.json of each run and of `base_<modality>`.
        measured: `read_measured` of the same.
        training: `last_logged` of each run.
        responses: what was measured of generated reviews; None where none were generated.
        manifests: manifest.json of each run's training, whose alarms decide with in a sweep.
    """
    alike, swept = runs_alike(runs), swept_settings(runs)
    seeds = {run.name: run.seed for run in runs}
    tables = {}
    for modality in modalities:
        base = f"base_{modality}"
        rows: list[dict[str, Any]] = [{**_UNTRAINED, "run": base, **_numbers(metrics[base])}]
        for run in (run for run in runs if run.modality == modality):
            parent = run.parent or base
            rows.append(
                {
                    "run": run.name,
                    "stage": run.stage,
                    "parent": parent,
                    "seed": run.seed,
                    "seeds": sorted(seeds[other] for other in alike[run.name]),
                    "beta": run.recipe.get("beta") if run.stage == "dpo" else None,
                    "swept": swept[run.name],
                    **_numbers(metrics[run.name]),
                    "to_base": differences(measured, run.name, base),
                    "to_parent": differences(measured, run.name, parent),
                    "training": training.get(run.name, {}),
                }
            )
        tables[modality] = rows
    return {
        "study": study,
        "bootstrap": {"seed": BOOTSTRAP_SEED, "resampled": "prompts", "level": 0.95},
        "modalities": tables,
        "sweeps": decide_sweeps(runs, alike, swept, training, manifests or {}),
        **compare_responses(responses or Measured(), modalities=modalities, runs=runs, alike=alike),
    }


def _numbers(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {key: metrics[key] for key in ("heldout", "preferences", "generations")}
