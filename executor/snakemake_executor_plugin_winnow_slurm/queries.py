"""Asking SLURM for the states of jobs: the controller first, and accounting for what it no longer knows."""

import asyncio
import subprocess
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from dataclasses import dataclass

ANSWER_WITHIN_S = 60.0

# sacct(1) and squeue(1), "JOB STATE CODES": the states of a job that will not run any more as it is.
ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
}
UNFINISHED = "PENDING,CONFIGURING,RUNNING,SUSPENDED,REQUEUED,COMPLETING"
# Of these SLURM may start the job again by itself (sbatch --requeue), shortly after the state is seen.
MAY_START_AGAIN = {"NODE_FAIL", "PREEMPTED", "BOOT_FAIL"}

ADVICE = {
    "TIMEOUT": "it ran into its time limit; each further attempt asks for more",
    "OUT_OF_MEMORY": "it used more memory than it asked for; each further attempt asks for more",
    "CANCELLED": "somebody or something cancelled it",
    "NODE_FAIL": "its node failed",
    "DEADLINE": "it could not end before its deadline",
}


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Attributes:
        state: SLURM's word for it, in capitals.
        reason: SLURM's reason, such as NonZeroExitCode; empty where it gives none.
        nodes: where it ran; empty where that is not known.
    """

    state: str
    reason: str = ""
    nodes: str = ""

    @property
    def may_start_again(self) -> bool:
        """Whether SLURM may yet put the job back into its queue."""
        return self.state in MAY_START_AGAIN

    def __str__(self) -> str:
        reason = "" if self.reason in {"", "None"} else f", reason {self.reason}"
        nodes = f", on {self.nodes}" if self.nodes else ""
        advice = f": {ADVICE[self.state]}" if self.state in ADVICE else ""
        return f"{self.state}{reason}{nodes}{advice}"


@dataclass(frozen=True)
class LeftBehind:
    """A job of an earlier call that still works on the same checkout."""

    id: str
    comment: str


class NoAnswerError(Exception):
    """A SLURM command failed or took too long."""


async def _ask(*command: str) -> str:
    """Return what a SLURM command prints.

    Raises:
        NoAnswerError: it failed, took longer than ANSWER_WITHIN_S, or does not exist.
    """
    try:
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    except OSError as error:
        raise NoAnswerError(str(error)) from error
    try:
        out, err = await asyncio.wait_for(process.communicate(), ANSWER_WITHIN_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise NoAnswerError(f"{command[0]} did not answer within {ANSWER_WITHIN_S:.0f} s") from None
    if process.returncode:
        raise NoAnswerError(err.decode(errors="replace"))
    return out.decode(errors="replace")


def read_state(text: str, reason: str = "", nodes: str = "") -> Ended | str:
    """Return how a job ended, or the state of one that has not; `CANCELLED by 0` is CANCELLED."""
    state = text.split(maxsplit=1)[0] if text.split() else ""
    return Ended(state, reason, nodes) if state in ENDED else state


def _rows(text: str, columns: int) -> list[list[str]]:
    """Split lines at bars; a line with another number of them is none of ours and says nothing."""
    rows = [line.strip().split("|") for line in text.splitlines()]
    return [row for row in rows if len(row) == columns]


class Queries:
    """Questions about the jobs of one Snakemake call."""

    def __init__(self, run: str) -> None:
        """Ask about the jobs that are all named `run`."""
        self._run = run
        self._accounting: bool | None = None

    async def states(self, jobs: Sequence[str]) -> dict[str, Ended | str] | None:
        """Return the states of those of the jobs that SLURM knows; None if it does not answer.

        squeue is asked first: it is right for cancelled and requeued jobs, and needs no accounting. Jobs that the
        controller has forgotten (MinJobAge) are looked up in accounting where the cluster has it.
        """
        try:
            text = await _ask(
                "squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r|%N", f"--name={self._run}"
            )
            known = {job: read_state(*rest) for job, *rest in _rows(text, 4)}
            missing = [job for job in jobs if job not in known]
            if missing and await self._has_accounting():
                text = await _ask(
                    "sacct",
                    "-X",
                    "--noheader",
                    "--parsable2",
                    "--format=JobID,State,Reason,NodeList",
                    f"--jobs={','.join(missing)}",
                )
                known |= {job: read_state(*rest) for job, *rest in _rows(text, 4)}
        except NoAnswerError:
            return None
        return known

    async def _has_accounting(self) -> bool:
        """Say whether the cluster keeps records of jobs; sacct must not be asked where it does not (it can hang)."""
        if self._accounting is None:
            settings = await _ask("scontrol", "show", "config")
            lines = [line.partition("=") for line in settings.splitlines()]
            kind = next((value.strip() for key, _, value in lines if key.strip() == "AccountingStorageType"), "")
            self._accounting = bool(kind) and kind not in {"accounting_storage/none", "(null)"}
        return self._accounting


def controller_answers() -> bool:
    """Say whether one of the controllers is there."""
    try:
        done = subprocess.run(
            ["scontrol", "ping"], capture_output=True, text=True, check=False, timeout=ANSWER_WITHIN_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return " UP" in done.stdout


def running_elsewhere(folder: str, run: str) -> list[LeftBehind]:
    """Return the caller's queued and running jobs that work in `folder` and belong to another Snakemake call.

    Args:
        folder: the checkout, where jobs are started.
        run: the name of this call's jobs.
    """
    command = ["squeue", "--me", "--noheader", f"--states={UNFINISHED}", "--format=%i|%j|%k|%Z"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=ANSWER_WITHIN_S).stdout
    return [
        LeftBehind(job, comment)
        for job, name, comment, workdir in _rows(text, 4)
        if workdir == str(folder) and name != run and comment.startswith(("rule_", "group_"))
    ]
