"""Lines for the log: elapsed time, then what happened. A log is for people; facts go to manifests."""

import io
import re
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from winnow.core.files import FULL_DISK

_START = time.monotonic()
_SAYING = [True]
_SELDOM_S = 300.0  # lines of Progress are not further apart than this
_PROGRESS = re.compile(r".+: [\d,]+( of [\d,]+)? (\([\d,.]+/s.*\)|in .+)")

T = TypeVar("T")


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


def duration(seconds: float) -> str:
    """Return a time for people, in the largest unit that leaves a number of at least two."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"


class Progress:
    """Says how far a long loop is, with the time that is left; of a known total also its end, with the time taken.

    The first line comes after `every_s` seconds, later ones less often: each after a tenth of the time so far, or five
    minutes. So a day's work says about 300 lines.
    """

    def __init__(self, what: str, total: int | None = None, *, done: int = 0, every_s: float = 10.0) -> None:
        """Start the clock.

        Args:
            what: is counted.
            total: how many there are; None if that is not known.
            done: how many were done before; they tell nothing about the pace.
            every_s: the least seconds between two lines.
        """
        self.what = what
        self.total = total
        self.every_s = every_s
        self.done = self._before = done
        self._start = self._said = time.monotonic()

    def step(self, count: int = 1) -> None:
        """Count work done, and say so when it is time."""
        self.done += count
        now = time.monotonic()
        took = now - self._start
        if self.total is not None and self.done - count < self.total <= self.done:
            log(f"{self.what}: {self.done:,} of {self.total:,} in {duration(took)}")
        elif now - self._said >= max(self.every_s, min(took / 10, _SELDOM_S)):
            self._said = now
            rate = (self.done - self._before) / took
            if self.total is not None and self.done < self.total:
                left = f", {duration((self.total - self.done) / rate)} left"
                log(f"{self.what}: {self.done:,} of {self.total:,} ({rate:,.{_digits(rate)}f}/s{left})")
            else:
                log(f"{self.what}: {self.done:,} ({rate:,.{_digits(rate)}f}/s)")

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items, and count each when it is done with."""
        for item in items:
            yield item
            self.step()


def _digits(rate: float) -> int:
    """Return how many decimals a rate needs: a training may take minutes per step."""
    return 1 if rate >= 1 else 3


def is_progress(line: str) -> bool:
    """Say whether a line of a log, without its time, is one of Progress."""
    return _PROGRESS.fullmatch(line) is not None
