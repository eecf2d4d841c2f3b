"""What is read from SLURM's accounting.

The lines were recorded on a real cluster (22.05), with jobs sent there by Snakemake and by hand: finished, failed,
cancelled before and after the start, timed out, requeued, on two nodes.
"""

import re
import stat
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from winnow.reporting import accounting
from winnow.reporting.accounting import ask, command, first_call, jobs_of, mib, parse, seconds

RECORDED = (Path(__file__).parent / "sacct_22_05.txt").read_text()
HERE = Path("/home/ada/winnow")


@pytest.fixture(scope="module")
def attempts():
    return parse(RECORDED, HERE)


def of(attempts, rule, **wildcards):
    return [attempt for attempt in attempts if (rule, tuple(sorted(wildcards.items()))) in attempt.jobs]


def test_every_record_of_this_checkout_is_an_attempt(attempts):
    starts = re.findall(r"^(\d+)\x1f(?:[^\x1f]*\x1f){9}([^\x1f]*)\x1f", RECORDED, re.MULTILINE)
    assert len(attempts) == sum(folder == str(HERE) for _, folder in starts) == len(starts) - 1
    assert parse(RECORDED, Path("/home/ada"))[0].jobs == ()


def test_a_requeued_job_is_two_attempts(attempts):
    first, second = of(attempts, "evaluate_run", study="demo", evaluated="sft_clean")
    assert (first.state, first.failed, first.elapsed_s, first.gpus) == ("REQUEUED", True, 8, 2)
    assert (second.state, second.failed, second.elapsed_s, second.wait_s) == ("COMPLETED", False, 25, 12)


def test_retries_of_a_job_are_its_attempts(attempts):
    found = of(attempts, "train_sft", study="demo", run="sft_clean")
    assert [attempt.state for attempt in found] == ["TIMEOUT", "FAILED", "COMPLETED"]
    assert [attempt.elapsed_s for attempt in found] == [77, 0, 34]
    assert [attempt.cpus for attempt in found] == [4, 4, 4]


def test_a_job_cancelled_while_waiting_held_nothing_and_has_no_wait(attempts):
    ran, finished, waited = of(attempts, "evaluate_run", study="demo", evaluated="base_clean")
    assert (ran.state, ran.elapsed_s, ran.wait_s) == ("CANCELLED", 8, 1)
    assert finished.gpus == 9
    assert (waited.state, waited.failed, waited.elapsed_s, waited.wait_s) == ("CANCELLED", True, 0, None)
    assert waited.peak_mib is waited.asked_mib is waited.cpu_used_s is None


def test_memory_of_several_nodes_is_compared_per_node(attempts):
    (attempt,) = of(attempts, "train_dpo", study="demo", run="dpo_clean-beta0.1")
    assert (attempt.gpus, attempt.asked_mib, attempt.wait_s) == (16, 1000, 46)
    assert attempt.peak_mib == pytest.approx(105074688 / 2**20)  # of its step 0, the larger of two


def test_a_job_is_known_by_its_own_command_not_by_its_comment(attempts):
    """Comments say evaluate_run and ingest for jobs 1 to 12 sent by hand; nothing but a comment says so."""
    assert Counter(len(attempt.jobs) for attempt in attempts)[0] == 8 - 1
    assert of(attempts, "ingest", study="demo_small", corpus="papers")[0].state == "FAILED"
    assert not of(attempts, "ingest", study="demo", corpus="papers")


def test_a_command_that_sbatch_read_from_a_file_is_known_by_its_step():
    command_line = r" --wrap=\S+ -m snakemake[^\n]*"
    hidden = re.sub(command_line, " /dev/stdin", RECORDED)
    assert hidden.count("/dev/stdin") == 7
    found, whole = parse(hidden, HERE), parse(RECORDED, HERE)
    assert of(found, "train_sft", study="demo", run="sft_clean")[0].state == "TIMEOUT"
    lost = [attempt for attempt in whole if attempt.jobs and attempt not in found]
    assert [attempt.state for attempt in lost] == ["FAILED"]  # it ended before its step began


def test_gpus_where_a_site_counts_none(attempts):
    uncounted = re.sub(r",?gres/gpu(:a100)?=\d+", "", RECORDED)
    assert "gres/gpu" not in uncounted
    assert [attempt.gpus for attempt in parse(uncounted, HERE)] == [attempt.gpus for attempt in attempts]


@pytest.mark.parametrize(
    ("options", "gpus"),
    [
        ("--gpus=a100:8 -t 1", 8),
        ("--gpus 3", 3),
        ("--gres=gpu:2", 4),
        ("--gres=gpu:h100:4 -t 1", 8),
        ("--gres=tmp:1G,gpu:1", 2),
        ("--gres=gpu", 2),
        ("--gpus-per-node=4", None),
        ("--partition gpu", 0),
        ("--comment x --wrap python --gpus=5", 0),
    ],
)
def test_gpus_that_were_asked_for(options, gpus):
    line = [
        "1",
        "COMPLETED",
        "10",
        "20",
        "60",
        "1",
        "2",
        "00:01",
        "",
        "cpu=1,mem=10M,node=2",
        str(HERE),
        f"sbatch {options}",
    ]
    (attempt,) = parse("\x1f".join(line) + "\n", HERE)
    assert attempt.gpus == gpus


@pytest.mark.parametrize(
    ("text", "expected"),
    [("477978624", 455.8359375), ("466776K", 455.8359375), ("1.5G", 1536), ("500Mn", 500), ("2T", 2**21), ("", None)],
)
def test_sizes(text, expected):
    assert mib(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("00:05.468", 5.468), ("01:00:01", 3601), ("2-03:04:05", 183_845), ("", None)]
)
def test_cpu_times(text, expected):
    assert seconds(text) == expected


def test_a_group_makes_several_jobs():
    found = jobs_of(
        "python -m snakemake --target-jobs 'split:study=a_b,corpus=x' 'ingest:study=a_b,corpus=x' --cores all"
    )
    assert found == (
        ("split", (("corpus", "x"), ("study", "a_b"))),
        ("ingest", (("corpus", "x"), ("study", "a_b"))),
    )
    assert jobs_of("snakemake --profile slurm") == ()


def sacct(monkeypatch, folder, body):
    """Put a sacct of our own first on PATH."""
    program = folder / "bin" / "sacct"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_sacct_is_asked_from_the_first_call_on(monkeypatch, tmp_path):
    logs = tmp_path / "log"
    logs.mkdir()
    for name in ("2026-03-02T010203.000001.snakemake.log", "2026-02-28T235959.999999.snakemake.log", "other.txt"):
        (logs / name).touch()
    (tmp_path / "lines").write_text(RECORDED)
    sacct(monkeypatch, tmp_path, f'printf "%s\\n" "$SLURM_TIME_FORMAT" "$@" > {tmp_path}/asked; cat {tmp_path}/lines')
    found = ask(HERE, logs)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ["%s", *command(datetime(2026, 2, 28, 23, 59, 59))[1:]]  # noqa: DTZ001 - local time
    assert found.answered
    assert found.attempts == parse(RECORDED, HERE)
    assert found.source == "sacct, this user's jobs since 2026-02-28"
    assert first_call(tmp_path / "none") is None


def test_no_answer_is_no_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask(HERE, tmp_path).source == "there is no sacct on this machine"
    sacct(monkeypatch, tmp_path, "echo sacct: error: first >&2; echo Slurm accounting storage is disabled >&2; exit 1")
    refused = ask(HERE, tmp_path)
    assert refused.source == "sacct refused: Slurm accounting storage is disabled"
    assert not refused.answered
    monkeypatch.setattr(accounting, "_PATIENCE_S", 0.2)
    (tmp_path / "bin" / "sacct").write_text("#!/bin/sh\nexec sleep 30\n")
    assert not ask(HERE, tmp_path).answered
