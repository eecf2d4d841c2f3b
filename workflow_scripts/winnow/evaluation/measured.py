"""The rows of measured.jsonl: read, ordered, and grouped as the comparison needs them."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from winnow.core.files import read_json

Row = Mapping[str, Any]

HUMAN = "human"
DECODINGS = ("greedy", "sampled")


@dataclass(frozen=True)
class Measured:
    """What was measured of every response, and how.

    Attributes:
        rows: of measured.jsonl.
        thresholds: from what rating on a paper is accepted, and how that was fitted.
        sets: run → decoding → numbers of all its texts together.
    """

    rows: Sequence[Row] = ()
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    sets: Mapping[str, Mapping[str, Mapping[str, float | None]]] = field(default_factory=dict)


def read_responses(rows: Path, manifest: Path) -> Measured:
    """Read measured.jsonl and the manifest that says how its thresholds were fitted."""
    found = read_json(manifest)
    with rows.open(encoding="utf-8") as lines:
        return Measured([json.loads(line) for line in lines], found.get("thresholds", {}), found.get("sets", {}))


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
