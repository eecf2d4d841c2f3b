"""Where the launchers of a run on several machines meet, and how they notice that one of them is gone.

They meet at a store (PyTorch's TCPStore), which one of them keeps and all the others, trainers included, connect to.
It lives as long as that launcher and is known by a port that was free when it was opened: a job that starts again meets
elsewhere, and what an earlier start left running finds nobody.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import psutil
from torch.distributed import DistError, TCPStore  # type: ignore[attr-defined] # they are public
from torch.distributed.elastic.rendezvous import RendezvousInfo, RendezvousParameters, rendezvous_handler_registry
from torch.distributed.elastic.rendezvous.static_tcp_rendezvous import StaticTCPRendezvous

from winnow.core.errors import WinnowError
from winnow.core.log import log

BACKEND = "winnow"
BEAT_S = 5.0
MISSES = 12  # a launcher that missed so many beats, one minute, is gone
ARRIVAL = timedelta(minutes=10)  # for all launchers to come: Python may start slowly on a busy file system
FAREWELL = timedelta(seconds=10)  # for the other launchers to end by themselves once one has failed


@dataclass(frozen=True)
class Nodes:
    """The machines of a job.

    Attributes:
        count: how many.
        rank: which one this is, from 0; the process with rank 0 is on the first.
        host: where the store is kept; empty for one machine.
        port: of the store.
        keeps: whether this launcher keeps the store.
    """

    count: int = 1
    rank: int = 0
    host: str = ""
    port: int = 0
    keeps: bool = False


def open_store(port: int = 0) -> TCPStore:
    """Open a store on this machine; port 0 takes a free one, which its attribute `port` tells.

    Raises:
        WinnowError: if the port is taken.
    """
    try:
        return TCPStore("localhost", port, is_master=True, wait_for_workers=False)
    except DistError as error:
        raise WinnowError(f"port {port} of this machine", f"cannot be used ({error})", "choose another") from None


class _Meeting(StaticTCPRendezvous):
    """torchrun's static meeting, at a store that is there already."""

    def get_backend(self) -> str:
        """Return the name under which the agent asks for it."""
        return BACKEND

    def next_rendezvous(self) -> RendezvousInfo:
        """Connect to the store, and return what the agent asks for."""
        self._store = TCPStore(self.master_addr, self.master_port, is_master=False, timeout=self.timeout)
        return super().next_rendezvous()


def _create(given: RendezvousParameters) -> _Meeting:
    host, _, port = given.endpoint.rpartition(":")
    seconds = int(ARRIVAL.total_seconds())
    return _Meeting(host, int(port), given.config["rank"], given.max_nodes, given.run_id, seconds)


rendezvous_handler_registry.register(BACKEND, _create)


@contextmanager
def attended(nodes: Nodes, is_stopping: Callable[[], bool]) -> Iterator[Callable[[int], None]]:
    """Show the others that this launcher is there, and end its processes when nobody is there any more.

    Args:
        nodes: the machines.
        is_stopping: whether the processes were asked to save and end, and so are left alone.

    Yields:
        What takes the exit status of this machine's processes.

    Raises:
        WinnowError: if the store is not reached.
    """
    if nodes.count == 1:
        yield lambda _status: None
        return
    kept = open_store(nodes.port) if nodes.keeps else None
    try:
        store = TCPStore(nodes.host, nodes.port, is_master=False, timeout=timedelta(minutes=2))
    except DistError:
        raise WinnowError(
            f"{nodes.host}:{nodes.port}",
            f"machine {nodes.rank} cannot reach the launcher that keeps the meeting place there",
            "let the machines of a job connect to each other's ports",
        ) from None
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(store, nodes, stop, is_stopping), daemon=True)
    beat.start()
    try:
        yield lambda status: _tell(store, nodes, status)
    finally:
        stop.set()
        beat.join()
        del kept  # only now: it was the meeting place


def _tell(store: TCPStore, nodes: Nodes, status: int) -> None:
    """Tell how this machine's processes ended; after a failure, at which srun kills all, let all tell first."""
    with suppress(DistError):
        store.set(_status_of(nodes.rank), str(status))
        if status:
            store.wait([_status_of(rank) for rank in range(nodes.count)], FAREWELL)


def _beat(store: TCPStore, nodes: Nodes, stop: threading.Event, is_stopping: Callable[[], bool]) -> None:
    missed = 0
    while not stop.wait(BEAT_S):
        try:
            store.add(_beat_of(nodes.rank), 1)
            missed = 0
        except DistError:
            missed += 1
        if missed == MISSES and not is_stopping():
            log(f"the launcher at {nodes.host}:{nodes.port} is gone; ending the processes of machine {nodes.rank}")
            for process in psutil.Process().children():
                process.kill()
            return


class Roll:
    """What the keeper of the store knows of the others.

    Beats are counted between looks, not timed: a job that was suspended as a whole is not taken for dead.
    """

    def __init__(self, store: TCPStore, count: int) -> None:
        self._store = store
        self._beats = [0] * count
        self._missed = [0] * count

    def silent(self) -> list[int]:
        """Return the machines that began, have not ended and missed their beats; to be asked every BEAT_S seconds."""
        for rank in range(len(self._beats)):
            beats = self._store.add(_beat_of(rank), 0)
            is_there = beats != self._beats[rank] or not beats or self._store.check([_status_of(rank)])
            self._beats[rank], self._missed[rank] = beats, 0 if is_there else self._missed[rank] + 1
        return [rank for rank, missed in enumerate(self._missed) if missed >= MISSES]

    def statuses(self) -> Sequence[int]:
        """Return the exit statuses that were told."""
        told = [_status_of(rank) for rank in range(len(self._beats))]
        return [int(self._store.get(name)) for name in told if self._store.check([name])]


def _beat_of(rank: int) -> str:
    return f"beat/{rank}"


def _status_of(rank: int) -> str:
    return f"status/{rank}"
