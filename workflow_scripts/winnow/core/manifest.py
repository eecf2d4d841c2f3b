"""What a step made, from what, and what it left out and why. Written last, so its presence means done.

A manifest holds no clock times, host names or absolute paths: equal work gives equal bytes.
"""

from collections import Counter
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from winnow.core.errors import WinnowError
from winnow.core.files import read_json, write_json
from winnow.core.ids import sha256_file


class Tally:
    """Counts of one step: rows read, rows kept, and rows dropped by reason. They must add up."""

    def __init__(self) -> None:
        self.read = 0
        self.kept = 0
        self.dropped: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()

    def drop(self, reason: str, count: int = 1) -> None:
        """Count rows that go no further."""
        self.dropped[reason] += count

    def note(self, what: str, count: int = 1) -> None:
        """Count rows that are kept although something about them is worth knowing."""
        self.notes[what] += count

    def as_dict(self) -> dict[str, Any]:
        """Return the counts for a manifest.

        Raises:
            ValueError: if rows were lost or invented, which is a defect of the step.
        """
        if self.read != self.kept + self.dropped.total():
            raise ValueError(f"read {self.read} rows, but kept {self.kept} and dropped {self.dropped.total()}")
        return {
            "read": self.read,
            "kept": self.kept,
            "dropped": dict(sorted(self.dropped.items())),
            "notes": dict(sorted(self.notes.items())),
        }


def installed(packages: list[str]) -> dict[str, str]:
    """Return the installed versions of distributions; one that is absent is left out."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_manifest(
    path: Path,
    *,
    step: str,
    inputs: Mapping[str, Path],
    outputs: Mapping[str, Path],
    settings: Any = None,
    counts: Mapping[str, Any] | None = None,
    software: list[str] | None = None,
    **more: Any,
) -> None:
    """Write a step's manifest.

    Args:
        path: where it goes.
        step: the name of the step ("ingest").
        inputs: what was read, by a name that does not depend on where it lies.
        outputs: what was made, likewise; the files must be complete.
        settings: what the step was told, as JSON values.
        counts: `Tally.as_dict()` by the name of what was counted.
        software: distributions whose versions could change the outputs.
        more: further facts of the step, as JSON values.
    """
    body = {
        "step": step,
        "inputs": {name: sha256_file(file) for name, file in inputs.items()},
        "outputs": {name: sha256_file(file) for name, file in outputs.items()},
        "settings": settings,
        "counts": dict(counts or {}),
        "software": installed(software or []),
        **more,
    }
    write_json(path, body)


def verify_outputs(manifest: Path, files: Mapping[str, Path], *, remedy: str) -> None:
    """Check that files named in a manifest are there, with the bytes it recorded.

    Raises:
        WinnowError: naming the file and `remedy`, what to run to have it made again.
    """
    recorded = read_json(manifest)["outputs"]
    for name, file in files.items():
        if not file.is_file():
            raise WinnowError(file, f"is named in {manifest.name} and is gone", remedy)
        if sha256_file(file) != recorded.get(name):
            raise WinnowError(file, f"is not the file that {manifest.name} recorded", remedy)
