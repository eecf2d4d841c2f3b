"""What the SLURM executor reads from squeue, sacct and scontrol; stand-ins for them say what the real ones would."""

import asyncio
import logging
import subprocess
import threading
from types import SimpleNamespace

import pytest
from snakemake_executor_plugin_slurm import Executor as SlurmExecutor

from snakemake_executor_plugin_winnow_slurm import UNREACHED, Executor, Sighting, queries
from snakemake_executor_plugin_winnow_slurm.queries import Ended, LeftBehind, Queries, read_state, running_elsewhere

ACCOUNTING = "AccountingStorageType   = accounting_storage/slurmdbd"
NO_ACCOUNTING = "AccountingStorageType   = accounting_storage/none"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Return a function that makes stand-ins for commands, each of a shell script; nothing else is on the path."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def commands(**scripts):
        for name, script in scripts.items():
            (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/asked\n{script}\n')
            (tmp_path / name).chmod(0o755)
        return tmp_path / "asked"

    return commands


def says(*lines):
    return "\n".join(f"echo '{line}'" for line in lines)


def states(*jobs):
    return asyncio.run(Queries("run").states(jobs))


@pytest.mark.parametrize("state", sorted(queries.ENDED))
def test_ends_are_ends(state):
    assert read_state(state) == Ended(state)


@pytest.mark.parametrize("state", ["RUNNING", "PENDING", "COMPLETING", "REQUEUED", "SUSPENDED", ""])
def test_the_rest_is_no_end(state):
    assert read_state(state) == state


def test_who_cancelled_is_no_part_of_the_state():
    assert read_state("CANCELLED by 0", "None", "node1") == Ended("CANCELLED", "None", "node1")


def test_an_end_says_why_and_where_as_far_as_known():
    assert str(Ended("FAILED", "NonZeroExitCode", "node1")) == "FAILED, reason NonZeroExitCode, on node1"
    assert str(Ended("FAILED", "None")) == "FAILED"
    assert str(Ended("OUT_OF_MEMORY")).endswith("each further attempt asks for more")


def test_the_controller_is_believed_and_accounting_not_asked(slurm):
    asked = slurm(squeue=says("1|RUNNING|None|node1", "2|CANCELLED|None|", "a line of something else"), sacct="exit 1")
    assert states("1", "2") == {"1": "RUNNING", "2": Ended("CANCELLED", "None", "")}
    assert "--name=run" in asked.read_text()
    assert "sacct" not in asked.read_text()


def test_accounting_is_asked_for_what_the_controller_forgot(slurm):
    asked = slurm(
        squeue=says("1|RUNNING|None|node1"), scontrol=says(ACCOUNTING), sacct=says("2|CANCELLED by 0|None|node2")
    )
    assert states("1", "2") == {"1": "RUNNING", "2": Ended("CANCELLED", "None", "node2")}
    assert "--jobs=2" in asked.read_text()


def test_without_accounting_sacct_is_never_asked(slurm):
    asked = slurm(squeue="", scontrol=says(NO_ACCOUNTING), sacct="sleep 60")
    assert states("2") == {}
    assert "sacct" not in asked.read_text()


@pytest.mark.parametrize("silent", ["exit 1", "exec sleep 60"])
def test_silence_is_not_an_answer(slurm, monkeypatch, silent):
    monkeypatch.setattr(queries, "ANSWER_WITHIN_S", 0.5)
    slurm(squeue=silent, scontrol=silent)
    assert states("1") is None
    assert not queries.controller_answers()


def test_silence_of_accounting_is_none_either(slurm):
    slurm(squeue=says("1|RUNNING|None|node1"), scontrol=says(ACCOUNTING), sacct="exit 1")
    assert states("1", "2") is None


def test_one_controller_of_two_is_enough(slurm):
    slurm(scontrol=says("Slurmctld(primary) at a is DOWN", "Slurmctld(backup) at b is UP"))
    assert queries.controller_answers()
    slurm(scontrol=says("Slurmctld(primary) at a is DOWN"))
    assert not queries.controller_answers()


def test_jobs_of_other_calls_are_those_that_work_here_under_another_name(slurm):
    rows = ("1|run|rule_a|/here", "2|old|rule_a_wildcards_x|/here", "3|old|rule_a|/there", "4|old|mine|/here")
    slurm(squeue=says(*rows))
    assert running_elsewhere("/here", "run") == [LeftBehind("2", "rule_a_wildcards_x")]
    slurm(squeue="exit 1")
    with pytest.raises(subprocess.SubprocessError):
        running_elsewhere("/here", "run")


class Job:
    external_jobid = "1"


def watched(monkeypatch):
    """Return an executor that has not been started, and what it reports."""
    executor, reported = Executor.__new__(Executor), []
    executor._sightings = {}
    monkeypatch.setattr(executor, "_report_failure", lambda _, message: reported.append(message))
    return executor, reported


def submitting(monkeypatch):
    """Return an executor that could submit, what it submits anew, and what it counts as failed."""
    executor, anew, failed = Executor.__new__(Executor), [], []
    executor._stopped, executor._answers = threading.Event(), True
    executor.logger = logging.getLogger(__name__)
    executor._job_submission_executor = SimpleNamespace(submit=lambda call, job: anew.append((call, job)))
    monkeypatch.setattr(SlurmExecutor, "_report_job_error_threadsafe", lambda *args: failed.append(args[-1]))
    monkeypatch.setattr(SlurmExecutor, "get_partition_arg", lambda *_: " -p cpu")
    return executor, anew, failed


def test_a_job_that_met_no_controller_has_another_turn_and_counts_as_no_attempt(monkeypatch):
    executor, anew, failed = submitting(monkeypatch)
    executor._report_job_error_threadsafe(SimpleNamespace(job="job"), f"sbatch failed: {UNREACHED} (connect failure)")
    executor._report_job_error_threadsafe(SimpleNamespace(job="job"), "sbatch failed: Invalid account")
    assert anew == [(executor.run_job, "job")]
    assert failed == ["sbatch failed: Invalid account"]
    executor._stopped.set()  # by Ctrl-C
    executor._report_job_error_threadsafe(SimpleNamespace(job="job"), f"sbatch failed: {UNREACHED} (connect failure)")
    assert len(anew) == 1


def test_a_job_begins_after_those_of_other_calls_that_do_the_same(monkeypatch):
    executor, _, _ = submitting(monkeypatch)
    comments = ("rule_a_wildcards_x_1", "rule_a_wildcards_x_2", "rule_a_wildcards_x_1", "rule_a")
    others = [LeftBehind(str(number), comment) for number, comment in enumerate(comments, 1)]
    monkeypatch.setattr(executor, "_left_behind", lambda: others)
    job = SimpleNamespace(name="a", jobid=7, wildcards=["x", "1"])
    assert executor.get_partition_arg(job) == " -p cpu --dependency=afterany:1:3"
    assert (
        executor.get_partition_arg(SimpleNamespace(name="a", jobid=7, wildcards=[]))
        == " -p cpu --dependency=afterany:4"
    )
    assert executor.get_partition_arg(SimpleNamespace(name="b", jobid=7, wildcards=["x", "1"])) == " -p cpu"


def test_a_node_that_failed_is_believed_at_the_second_look(monkeypatch):
    executor, reported = watched(monkeypatch)
    assert not executor._is_over(Job, Ended("NODE_FAIL"))
    assert not executor._is_over(Job, "PENDING")  # requeued
    assert not executor._is_over(Job, Ended("NODE_FAIL"))
    assert reported == []
    assert executor._is_over(Job, Ended("NODE_FAIL"))
    assert len(reported) == 1


def test_a_job_that_is_seen_again_was_not_forgotten(monkeypatch):
    executor, reported = watched(monkeypatch)
    monkeypatch.setattr(Executor, "_settings", type("Settings", (), {"forgotten_after": 100}))
    executor._sightings["1"] = Sighting(unknown_since=-1000.0)
    assert not executor._is_over(Job, "RUNNING")
    assert not executor._is_over(Job, None)
    executor._sightings["1"].unknown_since -= 101
    assert executor._is_over(Job, None)
    assert "has known nothing of job 1 for 100 s" in reported[0]
