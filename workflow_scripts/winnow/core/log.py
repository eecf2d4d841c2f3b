"""Lines for the log: elapsed time, then what happened. A log is for people; facts go to manifests."""

import sys
import time

_START = time.monotonic()
_SAYING = [True]


def silence() -> None:
    """Say nothing from now on: of several processes that do the same work one is enough."""
    _SAYING[0] = False


def log(message: str) -> None:
    """Print a line with the seconds since the start, at once."""
    if _SAYING[0]:
        print(f"[{time.monotonic() - _START:8.1f} s] {message}", file=sys.stderr, flush=True)


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
