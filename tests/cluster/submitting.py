"""Running the workflow on a test cluster, and reading what SLURM recorded of its jobs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cluster.cluster import Cluster

# A look every second instead of every 20, and a short wait for files, since all nodes share one disk here.
QUICK = ("--winnow-slurm-status-interval=1", "--latency-wait=10")
RECORDED = (
    "JobIDRaw",
    "Comment",
    "Partition",
    "State",
    "ReqTRES",
    "AllocTRES",
    "TimelimitRaw",
    "Submit",
    "Start",
    "End",
)


def start(cluster: Cluster, checkout: Path, *arguments: str, profile: str = "slurm") -> subprocess.Popen[str]:
    """Start Snakemake on a cluster; its output goes to snakemake.log beside the checkout, after what is there."""
    environment = cluster.environment | {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(checkout / ".cache")}
    environment.pop("PYTHONPATH", None)
    with log_of(checkout).open("a", encoding="utf-8") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--profile", profile, *QUICK, *arguments],
            cwd=checkout,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def log_of(checkout: Path) -> Path:
    """Return the file that holds what Snakemake said."""
    return checkout.with_name(f"{checkout.name}.snakemake.log")


def finish(process: subprocess.Popen[str], checkout: Path, *, seconds: float, status: int = 0) -> str:
    """Wait for Snakemake to end with a status, and return what it said.

    After so many seconds it gets SIGINT, on which it cancels its jobs (SIGTERM would wait for them), then SIGKILL.
    """
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    said = log_of(checkout).read_text(encoding="utf-8")
    assert process.returncode == status, f"Snakemake ended with {process.returncode}, not {status}:\n{said[-6000:]}"
    return said


@dataclass(frozen=True)
class Job:
    """One SLURM job as accounting holds it; times are text that sorts, such as 2026-01-31T12:00:00."""

    id: str
    comment: str
    partition: str
    state: str
    asked: dict[str, str]
    given: dict[str, str]
    minutes: int
    submitted: str
    started: str
    ended: str

    @property
    def rule(self) -> str:
        return self.comment.removeprefix("rule_").partition("_wildcards_")[0]

    @property
    def seconds(self) -> float:
        return (datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.started)).total_seconds()

    @property
    def gpus(self) -> int:
        return int(self.given.get("gres/gpu", 0))


def _tres(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split(",") if pair)


def jobs(cluster: Cluster, checkout: Path) -> list[Job]:
    """Return the jobs that worked in a checkout, in the order of their numbers, each once for every start it had."""
    fields = ",".join((*RECORDED, "WorkDir"))
    text = cluster.run(
        "sacct", "-X", "--duplicates", "--noheader", "--parsable2", f"--format={fields}", "--starttime=now-1days"
    )
    rows = [line.split("|") for line in text.splitlines()]
    return [
        Job(row[0], row[1], row[2], row[3], _tres(row[4]), _tres(row[5]), int(row[6]), *row[7:10])
        for row in sorted(rows, key=lambda row: int(row[0]))
        if row[10] == str(checkout)
    ]


def wait_for_line(file: Path, text: str, process: subprocess.Popen[str], seconds: float = 180) -> None:
    """Wait until a file holds a text; fail at once if Snakemake ends before."""
    end = time.monotonic() + seconds
    while not (file.exists() and text in file.read_text(encoding="utf-8", errors="replace")):
        assert process.poll() is None, f"Snakemake ended with {process.returncode} before {file} held {text!r}"
        assert time.monotonic() < end, f"{file} does not hold {text!r} after {seconds:.0f} s"
        time.sleep(0.2)


def only(found: Sequence[Job]) -> Job:
    """Return the one job that was found."""
    assert len(found) == 1, found
    return found[0]
