"""Lines for the log: elapsed time, then what happened. A log is for people; facts go to manifests."""

import io
import sys
import time
from typing import Any

from winnow.core.files import FULL_DISK

_START = time.monotonic()
_SAYING = [True]


def silence() -> None:
    """Say nothing from now on: of several processes that do the same work one is enough."""
    _SAYING[0] = False


def log(message: str) -> None:
    """Print a line with the seconds since the start, at once."""
    if _SAYING[0]:
        print(f"[{time.monotonic() - _START:8.1f} s] {message}", file=sys.stderr, flush=True)


class _Lossy(io.FileIO):
    """A log on a disk that may be full: what finds no room is left out, and a line says so once there is room."""

    _lost = False

    def write(self, data: Any) -> int:
        """Write all, or as much as there is room for; what is lost counts as written."""
        left = memoryview(data).cast("B")
        try:
            if self._lost:
                super().write(b"[lines are missing here: the disk was full]\n")
                self._lost = False
            while left:
                left = left[super().write(left) or 0 :]
        except OSError as error:
            if error.errno not in FULL_DISK:
                raise
            self._lost = True
        return len(data)


def outlive_a_full_disk() -> None:
    """Let no line that this process says to its log be a reason to fail.

    A step is worth more than its log: rules send both streams to one, which may lie on another disk than results, and
    Python ends with status 120 when it cannot empty them at the end. Streams that somebody has replaced stay.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and stream is getattr(sys, f"__{name}__"):
            stream.flush()
            file = _Lossy(stream.fileno(), "w", closefd=False)
            setattr(sys, name, io.TextIOWrapper(file, stream.encoding, stream.errors, line_buffering=True))


class Progress:
    """Says how far a long loop is, at most every few seconds, with the time that is left."""

    def __init__(self, what: str, total: int | None = None, every_s: float = 10.0) -> None:
        self.what = what
        self.total = total
        self.every_s = every_s
        self.done = 0
        self._start = self._said = time.monotonic()

    def step(self, count: int = 1) -> None:
        """Count work done, and say so when it is time."""
        self.done += count
        now = time.monotonic()
        if now - self._said < self.every_s:
            return
        self._said = now
        rate = self.done / (now - self._start)
        if self.total:
            left = (self.total - self.done) / rate
            log(f"{self.what}: {self.done:,} of {self.total:,} ({rate:,.1f}/s, {left:,.0f} s left)")
        else:
            log(f"{self.what}: {self.done:,} ({rate:,.1f}/s)")
