"""One writer at a time for a shard or a run, across processes, nodes and shared file systems.

The lock is a file that names its holder and whose modification time is the holder's heartbeat.
flock() is not used: it is advisory within one node on many network file systems, and an orphan that
a killed Snakemake left behind may run on another node.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from winnow.core.log import log

HEARTBEAT_S = 5.0
STALE_AFTER_S = 60.0  # a holder silent for this long is dead: twelve heartbeats missed


def _take(path: Path, token: str) -> bool:
    """Create the lock file if there is none; say whether it is ours."""
    holder = {"token": token, "host": socket.gethostname(), "pid": os.getpid()}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{token}")
    draft.write_text(json.dumps(holder))
    try:
        os.link(draft, path)  # atomic, also on NFS: the name appears with its content
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        token: names this holding, and no other.
        host: where the holder runs.
        pid: its process there.
        silent_s: seconds since its last heartbeat.
        is_gone: whether it has ended: a process of this machine that is no more, or one that is silent.
    """

    token: str
    host: str
    pid: int
    silent_s: float
    is_gone: bool


def holder(path: Path, stale_after_s: float = STALE_AFTER_S) -> Holder | None:
    """Return who holds the lock at `path`, or None where nobody does."""
    try:
        content = json.loads(path.read_text())
        silent_s = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None
    is_gone = silent_s > stale_after_s
    if content["host"] == socket.gethostname():
        try:
            os.kill(content["pid"], 0)
        except ProcessLookupError:
            is_gone = True
        except PermissionError:
            pass
    return Holder(content["token"], content["host"], content["pid"], silent_s, is_gone)


def _clear(path: Path, dead: str) -> None:
    """Remove the lock of a dead holder, and put back one that a living process took meanwhile."""
    aside = path.with_name(f".{path.name}.cleared-{os.getpid()}-{threading.get_ident()}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if json.loads(aside.read_text())["token"] != dead:
        os.link(aside, path)
    aside.unlink()


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_S):
        with suppress(FileNotFoundError):
            os.utime(path)


@contextmanager
def held(path: Path, *, poll_s: float = 1.0, stale_after_s: float = STALE_AFTER_S) -> Iterator[None]:
    """Hold the lock at `path`; wait, saying so, while a living process holds it.

    A second writer waits instead of failing: a failure would burn a retry while an orphan still
    works. When it gets the lock, the work may be done already, so look before you write.
    """
    token = f"{socket.gethostname()}-{os.getpid()}-{time.monotonic_ns()}"
    waiting = False
    while not _take(path, token):
        if (found := holder(path, stale_after_s)) is not None and found.is_gone:
            log(f"the holder of {path} is gone; taking over")
            _clear(path, found.token)
            continue
        if not waiting:
            log(f"waiting for another writer, which holds {path}: {path.read_text() if path.exists() else ''}")
            waiting = True
        time.sleep(poll_s)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, stop), daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        path.unlink(missing_ok=True)
