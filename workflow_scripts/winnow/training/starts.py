"""The record of a run's starts, beside its checkpoints: how often it was begun, resumed and cut off.

A scheduler knows its own jobs only; a retry inside one of them, and every retry on a workstation, is known from here.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from winnow.core.files import write_text
from winnow.core.ids import canonical_json

STARTS = "starts.jsonl"


def _append(file: Path, line: dict[str, str | int | float]) -> None:
    """Add a line, whole or not at all; a run has one writer."""
    before = file.read_text(encoding="utf-8") if file.is_file() else ""
    write_text(file, before + canonical_json(line) + "\n")


@contextmanager
def recorded(file: Path, *, identity: str, from_step: int, processes: int) -> Iterator[None]:
    """Write down that a trainer starts, and how it ended: a start without an end was cut off.

    Args:
        file: STARTS in the run's folder of checkpoints.
        identity: folder of the checkpoints, so that starts of other settings can be told apart.
        from_step: of the checkpoint that it goes on from, 0 at the beginning.
        processes: how many train together.
    """
    began = time.monotonic()

    def end(outcome: str) -> None:
        seconds = round(time.monotonic() - began, 1)
        _append(file, {"event": "end", "identity": identity, "outcome": outcome, "seconds": seconds})

    _append(file, {"event": "start", "identity": identity, "from_step": from_step, "processes": processes})
    try:
        yield
    except (Exception, SystemExit) as error:
        try:
            end("stopped" if isinstance(error, SystemExit) else "failed")
        except OSError as full:  # a full disk may be why it ended, and must not hide that
            error.add_note(f"the end of this start could not be written down: {full}")
        raise
    end("finished")
