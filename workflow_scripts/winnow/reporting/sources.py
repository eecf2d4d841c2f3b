"""Finding and reading what a study has made. What is not there is remembered, so that the page can say so."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from winnow.core.files import read_json
from winnow.core.tables import count_rows, read_rows


class Results:
    """The folder `results/<study>`; every file is named by its path below it.

    Attributes:
        missing: files that were asked for and are not there, in the order of asking.
        read: files that were read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.missing: list[str] = []
        self.read: list[str] = []

    def path(self, name: str) -> Path | None:
        """Return a file, or None after noting that it is absent."""
        if (self.root / name).is_file():
            if name not in self.read:
                self.read.append(name)
            return self.root / name
        if name not in self.missing:
            self.missing.append(name)
        return None

    def json(self, name: str) -> Any:
        """Return a JSON file's content, or None where there is none."""
        path = self.path(name)
        return read_json(path) if path else None

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the objects of a JSONL file, one in memory at a time; none where there is no file."""
        path = self.path(name)
        if path is None:
            return
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)

    def rows(self, name: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield some columns of a table; none where there is no file."""
        path = self.path(name)
        if path is not None:
            yield from read_rows(path, columns)

    def row_count(self, name: str) -> int | None:
        """Return how many rows a table has, or None where there is none."""
        path = self.path(name)
        return count_rows(path) if path else None
