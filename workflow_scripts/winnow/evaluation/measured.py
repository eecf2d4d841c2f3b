"""The rows of measured.jsonl: read, checked, ordered, and grouped as the comparison needs them."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from winnow.core.errors import WinnowError
from winnow.core.files import read_json
from winnow.evaluation.catalogue import Task
from winnow.evaluation.label_metrics import LABELS
from winnow.evaluation.review_metrics import REVIEWS

Row = Mapping[str, Any]

TASKS = {task.name: task for task in (REVIEWS, LABELS)}
_AGAIN = "measure again: run snakemake with --forcerun measure_responses (reviews) or measure_labels (labels)"


@dataclass(frozen=True)
class Measured:
    """What was measured of every response, and how.

    Attributes:
        task: what the runs were asked to do, with its classes.
        rows: of measured.jsonl.
        thresholds: from what rating on a paper is accepted, and how that was fitted; empty where nothing is rated.
        sets: run → decoding → numbers of all its texts together.
    """

    task: Task
    rows: Sequence[Row] = ()
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    sets: Mapping[str, Mapping[str, Mapping[str, float | None]]] = field(default_factory=dict)


def task_of(manifest: Mapping[str, Any], path: Path) -> Task:
    """Return the task that a manifest of measured rows names, with the classes that it gives.

    Raises:
        WinnowError: if it names none, or another reference or number of classes than a task has.
    """
    if absent := [key for key in ("task", "classes", "reference") if key not in manifest]:
        raise WinnowError(path, f"does not say what was measured: it lacks {', '.join(absent)}", _AGAIN)
    task, classes = TASKS.get(manifest["task"]), tuple(manifest["classes"])
    if task is None or manifest["reference"] != task.reference or len(set(classes)) != 2:
        said = {key: manifest[key] for key in ("task", "classes", "reference")}
        raise WinnowError(path, f"measures something that cannot be compared: {said}", _AGAIN)
    return replace(task, classes=classes)


def _check(row: Row, task: Task, place: str) -> None:
    """Check that nothing of a row would be left out of every table.

    Raises:
        WinnowError: if it has a class or a decoding that its task lacks.
    """
    for key in ("decision", "predicted"):
        if row[key] is not None and row[key] not in task.classes:
            raise WinnowError(place, f"has {key} {row[key]!r}, which is none of {', '.join(task.classes)}", _AGAIN)
    known = (task.reference_decoding,) if row["run"] == task.reference else tuple(task.decodings)
    if row["decoding"] not in known:
        raise WinnowError(place, f"has decoding {row['decoding']!r}, which is none of {', '.join(known)}", _AGAIN)


def read_responses(rows: Path, manifest: Path) -> Measured:
    """Read measured.jsonl and the manifest that says what was measured, and how thresholds were fitted.

    Raises:
        WinnowError: if the manifest does not say what was measured, or a row is not of that.
    """
    found = read_json(manifest)
    task = task_of(found, manifest)
    with rows.open(encoding="utf-8") as lines:
        read = [json.loads(line) for line in lines]
    for row in read:
        _check(row, task, f"{rows}, {row['id']}")
    return Measured(task, read, found.get("thresholds", {}), found.get("sets", {}))


def grouped(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """Return the rows of each run and decoding, in the order of their ids: the order of the file does not matter."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["run"], row["decoding"]].append(row)
    return {key: sorted(groups[key], key=lambda row: (row["prompt_id"], row["id"])) for key in sorted(groups)}


def prompts_of(rows: Iterable[Row]) -> list[str]:
    """Return the prompts of some rows, in order."""
    return sorted({row["prompt_id"] for row in rows})


def of_prompts(rows: Iterable[Row], prompts: Iterable[str]) -> list[Row]:
    """Return the rows that belong to one of these prompts."""
    wanted = set(prompts)
    return [row for row in rows if row["prompt_id"] in wanted]
