"""Snakemake's SLURM executor with status checks that neither hang nor miss a job's end.

Submitting, cancelling and logs are those of snakemake-executor-plugin-slurm 2.8.0. Its status checks are
replaced (docs/decisions/0017): they lose every job when a query fails, read `CANCELLED by 0` as running, ask
accounting where there is none, and wait for ever for a job that SLURM has forgotten. Submitting is given two things
that it lacks: it waits while SLURM does not answer, where each attempt would count as a failed one, and a job begins
only after those of another call that do the same work in the same checkout have ended.

The settings `status_command`, `status_attempts` and `init_seconds_before_status_checks` of that executor have
no effect here; `status_interval` and `forgotten_after` stand in for them.
"""

import shutil
import subprocess
import threading
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Optional

from snakemake_executor_plugin_slurm import Executor as SlurmExecutor
from snakemake_executor_plugin_slurm import ExecutorSettings as SlurmSettings
from snakemake_executor_plugin_slurm import common_settings
from snakemake_executor_plugin_slurm.utils import get_job_wildcards
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from snakemake_executor_plugin_winnow_slurm.queries import (
    Ended,
    LeftBehind,
    Queries,
    controller_answers,
    running_elsewhere,
)

__all__ = ["Executor", "ExecutorSettings", "common_settings"]

UNREACHED = "Unable to contact slurm controller"  # slurm_errno.c: sbatch has submitted nothing
ASK_AGAIN_AFTER_S = 2.0


@dataclass
class ExecutorSettings(SlurmSettings):
    """The SLURM executor's settings, and how jobs are watched."""

    status_command: Optional[str] = field(  # noqa: UP045 - Snakemake makes an option's type of it, and calls that
        default=None, metadata={"help": "Without effect: see --winnow-slurm-status-interval."}
    )
    status_interval: int = field(
        default=20, metadata={"help": "Seconds between two looks at the jobs that are queued or run."}
    )
    forgotten_after: int = field(
        default=120,
        metadata={
            "help": "Seconds after which a job that SLURM, when it answers, knows nothing of is taken for failed."
        },
    )


@dataclass
class Sighting:
    """What is remembered of a job between two looks.

    Attributes:
        unknown_since: when SLURM first answered without knowing the job (monotonic seconds).
        ended: how it seemed to have ended at the last look, where SLURM may yet start it again.
    """

    unknown_since: float | None = None
    ended: str | None = None


class Executor(SlurmExecutor):
    """Submits jobs with sbatch, and watches them until each has ended."""

    def __post_init__(self, test_mode: bool = False) -> None:
        """Start, and say which jobs of an earlier call still work on this checkout."""
        if shutil.which("sbatch") is None:
            raise WorkflowError(
                "There is no SLURM here: sbatch is not on PATH.\n"
                "  fix: start Snakemake on a login node of the cluster, or leave out --profile slurm"
            )
        super().__post_init__(test_mode)
        self._queries = Queries(self.run_uuid)
        self._sightings: dict[str, Sighting] = {}
        self._answers = True
        self._stopped = threading.Event()
        if left_behind := self._left_behind():
            jobs = "\n".join(f"    {job.id}  {job.comment}" for job in left_behind)
            self.logger.warning(
                f"{len(left_behind)} SLURM jobs of an earlier snakemake still belong to this checkout:\n{jobs}\n"
                "They go on. A job of this call that would write the same files begins when they have ended, and\n"
                "takes over what they finished. To stop them: scancel " + " ".join(job.id for job in left_behind)
            )

    @property
    def _settings(self) -> ExecutorSettings:
        return self.workflow.executor_settings

    def _left_behind(self) -> list[LeftBehind]:
        try:
            return running_elsewhere(self.workflow.workdir_init, self.run_uuid)
        except (OSError, subprocess.SubprocessError):
            return []  # submitting will tell what is wrong with SLURM

    def run_job(self, job: JobExecutorInterface) -> None:
        """Submit a job, once SLURM answers: that it does not is no failure of the job.

        Args:
            job: what Snakemake wants to be run.
        """
        while not self._stopped.is_set() and not controller_answers():
            self._tell_about_silence(answers=False)
            self._stopped.wait(ASK_AGAIN_AFTER_S)
        if not self._stopped.is_set():
            self._tell_about_silence(answers=True)
            super().run_job(job)

    def _report_job_error_threadsafe(self, job_info: SubmittedJobInfo, msg: str) -> None:
        """Report that a job could not be submitted, unless SLURM went away meanwhile: then it has another turn."""
        if UNREACHED in msg and not self._stopped.is_set():
            self._tell_about_silence(answers=False)
            self._job_submission_executor.submit(self.run_job, job_info.job)
        else:
            super()._report_job_error_threadsafe(job_info, msg)

    def get_partition_arg(self, job: JobExecutorInterface) -> str:
        """Return sbatch's arguments for the partition, and for the jobs of other calls that must end before.

        Two jobs that do the same work would write the same files. A lock alone is not enough: the second would hold its
        GPUs while it waits, an older one that is cancelled removes what the newer one made (Snakemake does that), and
        one that was started with other settings would have the last word.
        """
        arguments: str = super().get_partition_arg(job)
        wildcards = get_job_wildcards(job)
        work = f"rule_{job.name}_wildcards_{wildcards}" if wildcards else f"rule_{job.name}"
        if same := [other.id for other in self._left_behind() if other.comment == work]:
            self.logger.warning(f"Job {job.jobid} begins when SLURM job {', '.join(same)}, of another call, has ended.")
            arguments += f" --dependency=afterany:{':'.join(same)}"
        return arguments

    def cancel(self) -> None:
        """Cancel what was submitted, and submit no more."""
        self._stopped.set()
        super().cancel()

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Report the jobs that have ended and yield the others.

        Args:
            active_jobs: submitted and not yet reported.
        """
        self.next_seconds_between_status_checks = self._settings.status_interval
        if not active_jobs:  # so also before __post_init__, since the thread that asks has started by then
            return
        async with self.status_rate_limiter:
            known = await self._queries.states([job.external_jobid for job in active_jobs])
        self._tell_about_silence(answers=known is not None)
        for job in active_jobs:
            if known is None or not self._is_over(job, known.get(job.external_jobid)):
                yield job

    def _tell_about_silence(self, *, answers: bool) -> None:
        """Say when SLURM stops answering and when it answers again, once each."""
        if answers != self._answers:
            self._answers = answers
            self.logger.warning(
                "SLURM answers again."
                if answers
                else "SLURM does not answer. Its jobs go on; they are looked at, and more are submitted, when it does."
            )

    def _is_over(self, job: SubmittedJobInfo, state: Ended | str | None) -> bool:
        """Report a job's end to Snakemake; return whether it has ended."""
        sighting = self._sightings.setdefault(job.external_jobid, Sighting())
        if state is None:
            return self._is_forgotten(job, sighting)
        sighting.unknown_since = None
        if not isinstance(state, Ended):
            sighting.ended = None
            return False
        if state.may_start_again and sighting.ended != state.state:
            sighting.ended = state.state  # SLURM may put it back into the queue: believed at the next look
            return False
        self._sightings.pop(job.external_jobid)
        if state.state == "COMPLETED":
            self.report_job_success(job)
            self._remove_log(job)
        else:
            self._report_failure(job, f"SLURM job {job.external_jobid} ended as {state}.")
        return True

    def _is_forgotten(self, job: SubmittedJobInfo, sighting: Sighting) -> bool:
        now = time.monotonic()
        if sighting.unknown_since is None:
            sighting.unknown_since = now
        if now - sighting.unknown_since < self._settings.forgotten_after:
            return False
        self._sightings.pop(job.external_jobid)
        self._report_failure(
            job,
            f"SLURM has known nothing of job {job.external_jobid} for {self._settings.forgotten_after} s, so how it"
            " ended cannot be told. Without accounting SLURM forgets a job MinJobAge seconds after its end. It is taken"
            " for failed; what it finished is found again by the next attempt.",
        )
        return True

    def _report_failure(self, job: SubmittedJobInfo, message: str) -> None:
        self.report_job_error(job, msg=message + " ", aux_logs=[str(job.aux["slurm_logfile"])])

    def _remove_log(self, job: SubmittedJobInfo) -> None:
        """Remove the SLURM log of a job that succeeded, unless logs are kept."""
        if not self._settings.keep_successful_logs:
            log: Any = job.aux["slurm_logfile"]
            try:
                log.unlink(missing_ok=True)
            except OSError as error:
                self.logger.warning(f"{log}: could not be removed: {error}")
