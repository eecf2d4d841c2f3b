"""The account of an ingest: what was read, kept and left out, in all and by year, and every reason on disk."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from winnow.core.manifest import Tally
from winnow.corpus.records import Kind, Rejected


class Ledger:
    """Counts in memory, rejected records in a file; used as a context, so that the file is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("w", encoding="utf-8")
        self._years: dict[str, dict[Kind, Tally]] = defaultdict(lambda: {"prompt": Tally(), "response": Tally()})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _tally(self, kind: Kind, year: int | None) -> Tally:
        return self._years["none" if year is None else str(year)][kind]

    def keep(self, kind: Kind, year: int | None, notes: Iterable[str]) -> None:
        """Count a record that became a row, and what is worth knowing about it."""
        tally = self._tally(kind, year)
        tally.read += 1
        tally.kept += 1
        for note in notes:
            tally.note(note)

    def drop(self, record: Rejected) -> None:
        """Count a record that becomes no row, and write it down."""
        tally = self._tally(record.kind, record.year)
        tally.read += 1
        tally.drop(record.reason)
        row = {
            "kind": record.kind,
            "record_id": record.identity,
            "reason": record.reason,
            "detail": record.detail,
            "source": record.origin.source,
            "record_sha256": record.origin.record_sha256,
        }
        self._file.write(json.dumps(row) + "\n")

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rejected records as rows of core.tables.REJECTED."""
        self._file.flush()
        with self._path.open(encoding="utf-8") as file:
            yield from map(json.loads, file)

    def counts(self) -> dict[str, Any]:
        """Return the counts for a manifest: prompts and responses in all, then both by year."""
        totals: dict[Kind, Tally] = {"prompt": Tally(), "response": Tally()}
        for tallies in self._years.values():
            for kind, tally in tallies.items():
                totals[kind].read += tally.read
                totals[kind].kept += tally.kept
                totals[kind].dropped += tally.dropped
                totals[kind].notes += tally.notes
        years = {year: _as_dict(tallies) for year, tallies in sorted(self._years.items())}
        return _as_dict(totals) | {"by_year": years}


def _as_dict(tallies: dict[Kind, Tally]) -> dict[str, Any]:
    return {f"{kind}s": tally.as_dict() for kind, tally in tallies.items()}
