"""Snakemake's benchmark files, `<rule>/.../<job>.jsonl`: what the last attempt of each job took.

With `benchmark-extended` (profiles/default) a line also names its job and what the job asked for. Without, it has times
alone: its job cannot be found in the accounting, and what it asked for is unknown.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from winnow.reporting.accounting import Attempt


def _number(row: dict[str, Any], key: str) -> float | None:
    """Return a measured number; "NA" stands for a job that ended before it was looked at."""
    try:
        return float(row[key])
    except (KeyError, TypeError, ValueError):
        return None


def _attempt(row: dict[str, Any], step: str) -> Attempt | None:
    elapsed = _number(row, "s")
    if elapsed is None:
        return None
    named, asked = "wildcards" in row, row.get("resources") or {}
    return Attempt(
        jobs=((step, tuple(sorted((name, str(value)) for name, value in row["wildcards"].items()))),) if named else (),
        state="COMPLETED",
        wait_s=None,
        elapsed_s=elapsed,
        cpus=int(row["threads"]) if named else None,
        cpu_used_s=_number(row, "cpu_time"),
        gpus=int(asked.get("gpu", 0)) if named else None,
        peak_mib=_number(row, "max_rss"),
        asked_mib=_number(asked, "mem_mb"),  # SLURM is asked for as many MiB
    )


def last_attempts(benchmarks: Path) -> Iterator[tuple[str, str, Attempt]]:
    """Yield step, file and what its job's last attempt took, in the order of files; nothing without a folder."""
    for file in sorted(benchmarks.rglob("*.jsonl")) if benchmarks.is_dir() else ():
        name = file.relative_to(benchmarks)
        step = name.parts[0].removesuffix(".jsonl")
        for line in file.read_text(encoding="utf-8").splitlines():
            if (attempt := _attempt(json.loads(line), step)) is not None:
                yield step, str(name), attempt
