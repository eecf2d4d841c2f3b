"""What the executor says of jobs that end, and of a SLURM that goes away, with accounting and without.

A workflow of its own with jobs of a second: the executor knows nothing of Winnow. Everything happens on both
clusters at the same time, once, and the tests look at what Snakemake said.
"""

import os
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster.cluster import wait_for
from cluster.submitting import finish, log_of, start, wait_for_line

# A file below `ran` says that a job runs, a file `go` or `open` that those may end which wait for it.
SNAKEFILE = """\
rule succeeds:
    output: "done/succeeds"
    shell: "echo >> ran/succeeds; while [ ! -e go ]; do sleep 0.2; done; touch {output}"
rule fails:
    output: "done/fails"
    shell: "exit 3"
rule cancelled:
    output: "done/cancelled"
    shell: "touch ran/cancelled; sleep 600"
rule timed_out:
    output: "done/timed_out"
    resources: runtime=1
    shell: "touch ran/timed_out; sleep 600"
rule stays:
    output: "done/stays"
    shell: "echo >> ran/stays; while [ ! -e open ]; do sleep 0.2; done; touch {output}"
rule fails_once:
    output: "done/fails_once"
    shell:
        "echo >> ran/fails_once; while [ ! -e go ]; do sleep 0.2; done;"
        " [ $(wc -l < ran/fails_once) = 2 ]; touch {output}"
"""
PROFILE = """\
executor: winnow-slurm
jobs: 10
keep-going: true
default-resources: [mem_mb=1000, runtime=10]
"""
AWAY_S = 12
KINDS = ("with", "without")


def folder_with(tmp_path_factory, name: str) -> Path:
    folder = tmp_path_factory.mktemp(name) / "checkout"
    (folder / "slurm").mkdir(parents=True)
    (folder / "ran").mkdir()
    (folder / "Snakefile").write_text(SNAKEFILE)
    (folder / "slurm" / "config.yaml").write_text(PROFILE)
    return folder


def job_states(cluster, folder: Path) -> dict[str, tuple[str, str]]:
    """Return rule → number and state of the jobs of a folder that the controller knows."""
    rows = cluster.run("squeue", "-h", "--states=all", "-o", "%i|%T|%k|%Z").splitlines()
    found = [row.split("|") for row in rows]
    return {comment.removeprefix("rule_"): (job, state) for job, state, comment, where in found if where == str(folder)}


def ran(folder: Path, rule: str) -> int:
    """Return how often a job began."""
    return len((folder / "ran" / rule).read_text().splitlines())


def ways_to_end(cluster, folder: Path) -> str:
    """Let jobs end in every way, take slurmctld away while one runs, and return what Snakemake said."""
    (folder / "go").touch()
    process = start(
        cluster, folder, *(f"done/{rule}" for rule in ("succeeds", "fails", "cancelled", "timed_out", "stays"))
    )
    for rule in ("cancelled", "timed_out", "stays"):
        wait_for(f"{rule} runs", (folder / "ran" / rule).exists, seconds=240)
    cluster.run("scancel", job_states(cluster, folder)["cancelled"][0])
    for said in ("ended as CANCELLED", "ended as FAILED"):
        wait_for_line(log_of(folder), said, process)
    wait_for("one has succeeded", (folder / "done" / "succeeds").exists, seconds=180)

    cluster.kill_daemon("slurmctld")
    try:
        wait_for_line(log_of(folder), "SLURM does not answer", process)
        (folder / "open").touch()
        time.sleep(AWAY_S)
        assert process.poll() is None
    finally:
        cluster.start_daemon("slurmctld")
    wait_for_line(log_of(folder), "SLURM answers again", process)
    return finish(process, folder, seconds=400, status=1)


def forgotten(cluster, folder: Path) -> str:
    """Let jobs end and be forgotten by the controller while Snakemake does not look, and return what it says then."""
    rules = ("succeeds", "fails_once")
    options = ("--retries=1", "--winnow-slurm-forgotten-after=3")
    process = start(cluster, folder, *options, *(f"done/{rule}" for rule in rules))
    for rule in rules:
        wait_for(f"{rule} runs", (folder / "ran" / rule).exists, seconds=240)
    # Only now may they end: Snakemake cannot have seen one of them end before.
    os.kill(process.pid, signal.SIGSTOP)
    (folder / "go").touch()
    try:
        ended = {"succeeds": "COMPLETED", "fails_once": "FAILED"}

        def both_have_ended() -> bool:
            states = job_states(cluster, folder)
            return {rule: states[rule][1] for rule in rules} == ended

        wait_for("both jobs have ended", both_have_ended, seconds=120)
        if cluster.accounting:
            ids = ",".join(job for job, _ in job_states(cluster, folder).values())
            command = ("sacct", "-X", "-n", "-P", "-o", "State", "-j", ids)
            wait_for("both are recorded", lambda: sorted(cluster.run(*command).split()) == sorted(ended.values()))
        cluster.kill_daemon("slurmctld")
        cluster.start_daemon("slurmctld", "-c")
        assert job_states(cluster, folder) == {}
    finally:
        os.kill(process.pid, signal.SIGCONT)
    return finish(process, folder, seconds=300)


@pytest.fixture(scope="module")
def told(cluster, cluster_without_accounting, tmp_path_factory) -> dict[str, tuple[Path, Path, Future]]:
    """What was said by both Snakemakes on both clusters, and the folders they worked in."""

    def both(on, first: Path, second: Path) -> tuple[str, str]:
        return ways_to_end(on, first), forgotten(on, second)

    with ThreadPoolExecutor() as pool:
        stories = {}
        for kind, on in zip(KINDS, (cluster, cluster_without_accounting), strict=True):
            folders = [folder_with(tmp_path_factory, f"{kind}-{name}") for name in ("ends", "forgotten")]
            stories[kind] = (*folders, pool.submit(both, on, *folders))
    return stories


@pytest.mark.parametrize("kind", KINDS)
def test_each_end_is_told_once_by_its_name(told, kind):
    """Upstream (2.8.0, check_active_jobs) never sees that a job was cancelled: sacct says `CANCELLED by 0`."""
    folder, _, story = told[kind]
    said, _ = story.result()
    assert [said.count(f"ended as {state}") for state in ("CANCELLED", "FAILED", "TIMEOUT")] == [1, 1, 1]
    assert said.count("ended as") == 3
    assert "each further attempt asks for more" in said
    assert sorted(file.name for file in (folder / "done").iterdir()) == ["stays", "succeeds"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_absent_slurmctld_is_told_and_counts_as_no_failure(told, kind):
    """Upstream (2.8.0, check_active_jobs) loses all jobs whose states it could not find out, and waits for ever."""
    folder, _, story = told[kind]
    said, _ = story.result()
    assert said.index("SLURM does not answer") < said.index("SLURM answers again")
    assert ran(folder, "stays") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_forgotten_job_is_known_from_accounting_or_run_again(told, kind):
    """Upstream (2.8.0, check_active_jobs) waits for ever for a job that squeue does not know."""
    _, folder, story = told[kind]
    _, said = story.result()
    assert sorted(file.name for file in (folder / "done").iterdir()) == ["fails_once", "succeeds"]
    assert ran(folder, "fails_once") == 2
    if kind == "with":
        assert ran(folder, "succeeds") == 1
        assert said.count("ended as FAILED") == 1
        assert "has known nothing" not in said
    else:
        assert ran(folder, "succeeds") == 2
        assert said.count("SLURM has known nothing of job") == 2
