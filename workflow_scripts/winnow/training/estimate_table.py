"""The estimates of preflight reports as a Markdown table, for people who decide whether to queue the runs."""

from collections.abc import Iterable, Mapping
from typing import Any

_COLUMNS = (
    "run",
    "stage",
    "parameters (trained)",
    "rows",
    "tokens per epoch",
    "longest",
    "steps",
    "model FLOPs",
    "memory per device, GB",
    "disk, GB",
    "GPUs",
    "time, h",
    "GPU hours",
)
UNKNOWN = "unknown"


def _told(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else format(value, form)


def _cells(report: Mapping[str, Any]) -> list[str]:
    """Return a run's line."""
    told = report["estimate"] or {}
    parameters, tokens = told.get("parameters"), told.get("tokens") or {}
    flops, memory, seconds = told.get("flops") or {}, told.get("memory_gb") or {}, told.get("seconds")
    return [
        report["run"],
        report["stage"],
        f"{parameters['total']:,} ({parameters['trained']:,})" if parameters else UNKNOWN,
        f"{report['rows']['train']:,}",
        _told(tokens.get("epoch"), ","),
        _told(tokens.get("longest"), ","),
        _told((report["steps"] or {}).get("total_steps"), ","),
        _told(flops.get("model"), ".2e"),
        _told(memory.get("total"), ".1f"),
        _told(told.get("disk_gb"), ".1f"),
        _told(told.get("gpus"), "d"),
        _told(None if seconds is None else seconds / 3600, ".2f"),
        _told(told.get("gpu_hours"), ".2f"),
    ]


def _notes(report: Mapping[str, Any]) -> list[str]:
    """Return what of a run is unknown, and why."""
    unknown = (report["estimate"] or {}).get("unknown") or {}
    return [f"{report['run']}: {what} is unknown, since {why}" for what, why in sorted(unknown.items())]


def estimate_lines(report: Mapping[str, Any]) -> list[str]:
    """Return the same of one run, a line for each column."""
    return [*(f"{name}: {cell}" for name, cell in zip(_COLUMNS, _cells(report), strict=True)), *_notes(report)]


def estimate_table(reports: Iterable[Mapping[str, Any]]) -> str:
    """Return a Markdown table of preflight reports, one line per run, and below it what is unknown and why."""
    reports = list(reports)
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    lines += ["| " + " | ".join(_cells(report)) + " |" for report in reports]
    notes = [note for report in reports for note in _notes(report)]
    return "\n".join(lines + ([""] if notes else []) + [f"- {note}" for note in notes]) + "\n"
