"""Trainings on a cluster that are held still in the middle, so that something can happen to them there."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from cluster.cluster import Cluster, is_alive, wait_for
from cluster.submitting import log_of
from winnow.training.metrics import read_metrics

PATIENCE_S = 400  # for anything; a slow machine may need it


@dataclass(frozen=True)
class Place:
    """Where a job is.

    Attributes:
        id: SLURM's number of it; a job that SLURM starts again keeps it.
        state: SLURM's word.
        node: empty while it waits.
        starts: how often SLURM has started it again.
    """

    id: str
    state: str
    node: str


@dataclass(frozen=True)
class Held:
    """A trainer that was stopped.

    Attributes:
        pid: its process.
        step: the last step that it had written down.
        job: the job that it belongs to.
        node: where that runs.
    """

    pid: int
    step: int
    job: str
    node: str


@dataclass
class Trainings:
    """The trainings of one Snakemake call in one checkout.

    Attributes:
        cluster: where their jobs run.
        checkout: where they work.
        snakemake: the call.
        held: run → where its first trainer was when something happened to it.
        notes: what else was seen.
    """

    cluster: Cluster
    checkout: Path
    snakemake: subprocess.Popen[str]
    held: dict[str, Held] = field(default_factory=dict)
    notes: dict[str, object] = field(default_factory=dict)

    def wait_for(self, what: str, is_true: Callable[[], bool]) -> None:
        """Wait until something is true; fail at once if Snakemake ends before."""

        def look() -> bool:
            ended = self.snakemake.poll() is not None
            if is_true():
                return True
            assert not ended, (
                f"Snakemake ended, and in vain was waited for: {what}\n{log_of(self.checkout).read_text()}"
            )
            return False

        wait_for(what, look, seconds=PATIENCE_S, every=0.05)

    def job(self, run: str) -> Place | None:
        """Return the newest job of a run, which may have ended; None before the first."""
        rows = self.cluster.run("squeue", "-h", "-a", "--states=all", "-o", "%i|%T|%N|%k").splitlines()
        places = [Place(*row[:3]) for row in (line.strip().split("|") for line in rows) if row[3].endswith(f"_{run}")]
        return max(places, key=lambda place: int(place.id), default=None)

    def state(self, run: str) -> str:
        """Return the state of a run's newest job; empty before the first."""
        place = self.job(run)
        return place.state if place else ""

    def log(self, run: str) -> str:
        """Return what the run's newest trainer said; Snakemake removes the log of the one before."""
        file = self.checkout / f"results/demo/logs/train/{run}.log"
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    def starts(self, run: str) -> list[tuple[int, str]]:
        """Return from which step each trainer of a run began to train, and how that ended."""
        lines = read_metrics(self.checkout / "checkpoints/demo" / run / "starts.jsonl")
        found = []
        for line, after in pairwise([*lines, {"event": "start"}]):
            if line["event"] == "start":
                found.append((line["from_step"], after["outcome"] if after["event"] == "end" else "cut off"))
        return found

    def processes(self, run: str) -> list[int]:
        """Return the trainers of a run that live."""
        return processes_with(f"checkpoints/demo/{run}", self.checkout)

    def metrics(self, run: str) -> Path | None:
        """Return the file that grows while a run is trained; None before that."""
        return next(iter((self.checkout / "checkpoints/demo" / run).glob("*/metrics.jsonl")), None)

    def steps(self, run: str) -> int:
        """Return the last step that a run's trainer has written down."""
        file = self.metrics(run)
        rows = [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")] if file else []
        return max((row["step"] for row in rows), default=0)

    def reached(self, run: str, step: int) -> Held:
        """Wait until a run's first trainer has done some steps."""
        self.wait_for(f"{run} is at step {step}", lambda: self.steps(run) >= step)
        (pid,) = self.processes(run)
        place = self.job(run)
        assert place is not None
        self.held[run] = Held(pid, self.steps(run), place.id, place.node)
        return self.held[run]

    def hold(self, run: str, step: int) -> Held:
        """Wait until a run has done some steps, and stop its trainer there.

        When SLURM ends a job it lets stopped processes go on.
        """
        held = self.reached(run, step)
        os.kill(held.pid, signal.SIGSTOP)
        self.wait_for(f"{run} is still", lambda: _status(held.pid, "State").startswith("T"))
        self.held[run] = replace(held, step=self.steps(run))
        return self.held[run]

    def gone(self, held: Held) -> None:
        """Wait until a trainer has ended."""
        self.wait_for(f"process {held.pid} has ended", lambda: not is_alive(held.pid))

    def queued(self, run: str) -> str:
        """Return the number of a run's job."""
        place = self.job(run)
        assert place is not None
        return place.id

    def place(self, run: str, nodes: Iterable[str]) -> None:
        """Let a job that waits start on some of the nodes only."""
        others = ",".join(name for name in self.cluster.node_names if name not in nodes)
        self.cluster.run("scontrol", "update", f"JobId={self.queued(run)}", f"ExcNodeList={others}")

    def end(self) -> None:
        """Kill what is left of the trainers, stopped ones above all."""
        for folder in (self.checkout / "checkpoints/demo").iterdir():
            for pid in self.processes(folder.name):
                os.kill(pid, signal.SIGKILL)

    def cut_power(self, held: Held) -> None:
        """Kill all processes of a job on the node where it runs, and what SLURM has there to watch them."""
        mine = [pid for pid, variables in _processes("environ") if f"SLURM_JOB_ID={held.job}" in variables]
        watching = re.compile(rf"slurmstepd: \[{held.job}\.\w+\]")
        for pid, arguments in _processes("cmdline"):
            if watching.match(arguments[0]):
                mine.append(pid)
        for pid in mine:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.gone(held)


def processes_with(argument: str, checkout: Path) -> list[int]:
    """Return the processes that work in a checkout and have an argument."""
    return [pid for pid, arguments in _processes("cmdline") if argument in arguments and _works_in(pid, checkout)]


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder
    except OSError:  # it has ended
        return False


def go_on(held: Held) -> None:
    """Let a stopped trainer go on."""
    os.kill(held.pid, signal.SIGCONT)


def parent(held: Held) -> list[str]:
    """Return the command line of the process that started a trainer."""
    return Path(f"/proc/{_status(held.pid, 'PPid')}/cmdline").read_text().split("\0")


def _status(pid: int, key: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{key}:"))


def _processes(what: str) -> list[tuple[int, list[str]]]:
    """Return every process with its command line or its environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found.append((int(folder.name), (folder / what).read_bytes().decode(errors="replace").split("\0")))
        except OSError:  # it has ended
            continue
    return found
