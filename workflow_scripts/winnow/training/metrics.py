"""The lines of metrics.jsonl."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from winnow.core.ids import canonical_json, sha256_text

Row = dict[str, Any]
RUN_DEPENDENT = ("tokens_per_second", "peak_memory_mb")  # all else is equal whenever the work is equal


def read_metrics(file: Path) -> list[Row]:
    """Return the lines of a metrics file, none if it is not there."""
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def repeatable(rows: Sequence[Row]) -> list[Row]:
    """Return the rows without what depends on the machine and its load."""
    return [{key: value for key, value in row.items() if key not in RUN_DEPENDENT} for row in rows]


def metrics_sha256(rows: Sequence[Row]) -> str:
    """Return one hash of all that equal work makes equal."""
    return sha256_text(canonical_json(repeatable(rows)))
