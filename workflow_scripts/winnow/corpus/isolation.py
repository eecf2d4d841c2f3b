"""Work that may kill its process, done in processes of its own: a death costs one item, not the run."""

import resource
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from winnow.core.log import log

MEMORY_BYTES = 4 * 2**30  # address space of a worker, of which the libraries themselves reserve less than one GB
SECONDS = 600  # for one item; a page takes a tenth of a second
_BATCH = 16  # items per worker that are handed out at once, which bounds what is held in memory

Item = TypeVar("Item")
Result = TypeVar("Result")


def isolated(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Result | None]]:
    """Yield each item with its result, in order; None if its process died: a crash, too much memory or time.

    Args:
        work: a function that can be pickled; what it raises is raised here.
        items: they and the results can be pickled.
        workers: processes at work at once; the results do not depend on it.
    """
    rest = iter(items)
    pool = _pool(workers)
    try:
        while batch := list(islice(rest, _BATCH * workers)):
            try:
                results: Sequence[Result | None] = list(pool.map(partial(_guarded, work), batch))
            except BrokenProcessPool:
                # A death takes all that was at work along. One by one, they show which was the cause.
                log(f"a drawing process ended; doing its {len(batch)} prompts one by one")
                pool.shutdown()
                results = [*_one_by_one(work, batch)]
                pool = _pool(workers)
            yield from zip(batch, results, strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _one_by_one(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result | None]:
    pool = _pool(1)
    try:
        for item in items:
            try:
                yield pool.submit(_guarded, work, item).result()
            except BrokenProcessPool:
                yield None
                pool.shutdown()
                pool = _pool(1)
    finally:
        pool.shutdown()


def _pool(workers: int) -> ProcessPoolExecutor:
    # Fresh interpreters: a fork would copy the threads' locks of Arrow and DuckDB in whatever state they are.
    return ProcessPoolExecutor(workers, get_context("spawn"), initializer=_limit_memory)


def _limit_memory() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _guarded(work: Callable[[Item], Result], item: Item) -> Result:
    """Do one item; the alarm ends the process, since a library's loop heeds no exception."""
    signal.alarm(SECONDS)
    try:
        return work(item)
    finally:
        signal.alarm(0)
