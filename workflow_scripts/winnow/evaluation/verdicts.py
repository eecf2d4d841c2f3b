"""Verdicts: those of a family of tests, corrected for their number, and each run against the task's reference."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

from winnow.core.errors import WinnowError
from winnow.evaluation.catalogue import Task
from winnow.evaluation.measured import Row, prompts_of
from winnow.evaluation.paired import row_differences
from winnow.evaluation.resampling import rounded
from winnow.evaluation.significance import DETECTABLE, holm

LEVEL = 0.05
POWER = 0.8
NO_DIFFERENCE = "no difference shown"

Tables = dict[str, dict[str, Any]]


def verdicts(tables: Tables, task: Task) -> dict[str, Any]:
    """Correct the p of every primary metric for the family of all of them, and write the verdicts into the tables.

    The family is every test from which this comparison draws a verdict: all primary metrics, runs and modalities, and
    the task's decodings of the family. A difference to a parent that is the base model is one test, shown twice.

    Source: Holm 1979.

    Args:
        tables: modality → decoding → rows with their differences.
        task: whose primary metrics they are.

    Returns:
        what the family is.
    """
    tests: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for modality, by_decoding in tables.items():
        for decoding, table in by_decoding.items():
            for row in table["rows"]:
                for key in ("to_base", "to_parent"):
                    other = row["parent"] if key == "to_parent" else f"base_{modality}"
                    for metric in task.primary if row[key] else ():
                        entry = row[key][metric]
                        entry["p_holm"] = None
                        if entry["p"] is not None and decoding in task.family:
                            tests.setdefault((modality, decoding, row["run"], other, metric), []).append(entry)
    corrected = holm([entries[0]["p"] for entries in tests.values()])
    # The strictest level that Holm asks for, that of the smallest p, in standard errors.
    strictest = NormalDist().inv_cdf(1 - LEVEL / (2 * max(1, len(tests)))) + NormalDist().inv_cdf(POWER)
    for (*_, metric), p in zip(tests, corrected, strict=True):
        for entry in tests[(*_, metric)]:
            entry |= {
                "p_holm": rounded(p),
                "verdict": verdict(task, metric, entry["value"], p),
                "mde_family": None if entry["mde"] is None else rounded(entry["mde"] / DETECTABLE * strictest),
            }
    metrics, decodings = list(task.primary), list(task.family)
    return {"method": "holm", "level": LEVEL, "metrics": metrics, "decodings": decodings, "tests": len(tests)}


def verdict(task: Task, metric: str, value: float, p: float) -> str:
    """Return a difference in words, by the metric's own direction: better, worse, or no difference shown."""
    if p >= LEVEL or value == 0:
        return NO_DIFFERENCE
    return "better" if (value > 0) == (task.metrics[metric].better == "higher") else "worse"


def to_reference(
    run: str, rows: Sequence[Row], reference: Sequence[Row], task: Task
) -> dict[str, dict[str, Any]] | None:
    """Return a run's primary metrics minus the reference's, prompt by prompt; None where there is no reference.

    With one answer to each prompt a share has McNemar's exact test. The verdict goes by its own p: these tests are in
    no family.

    Args:
        run: its name.
        rows: of the run, in one decoding.
        reference: rows of the reference for the same prompts.
        task: what they are compared in.

    Raises:
        WinnowError: if the reference lacks some of the prompts.
    """
    if not reference:
        return None
    if lacking := len(set(prompts_of(rows)) - set(prompts_of(reference))):
        raise WinnowError(
            f"{task.reference} and {run}",
            f"answer different prompts: {lacking} have no answer of {task.reference}",
            "measure again: run snakemake with --forcerun measure_labels",
        )
    found = row_differences(rows, reference, task, task.primary)
    for metric, entry in found.items():
        if entry["p"] is not None:
            entry["verdict"] = verdict(task, metric, entry["value"], entry["p"])
    return found
