"""Faults on a real cluster that the workflow must survive: nothing is lost, and the results are those of a calm run.

Each story works on a copy of the finished demo, from which it removes what shall be made again. All stories go on at
the same time; the tests look at how they ended.
"""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster.cluster import wait_for
from cluster.planting import (
    GATE,
    HOG,
    MEM_MB,
    MODEL,
    PATIENCE_S,
    RUN,
    SHARDS,
    Calm,
    a_chunk_is_kept,
    assert_judged,
    edit,
    ended_jobs,
    full_disk,
    kept,
    log_of_shard,
    may_mount,
    open_gate,
    plant,
)
from cluster.submitting import finish, log_of, start, wait_for_line
from snakemake_executor_plugin_winnow_slurm import UNREACHED

AWAY_S = 30

# The stories. `back` is set when slurmctld is there for good.


def controller_away(cluster, calm: Calm, back: threading.Event) -> tuple[Path, str, Path, str]:
    """Take slurmctld away for half a minute while shards are judged, and while a training is to be submitted."""
    try:
        judging, training = calm.to_judge("away-judging"), calm.copy("away-training")
        plant(judging)
        for made in (RUN, "checkpoints/demo/sft_clean"):
            shutil.rmtree(training / made)
        edit(
            training / "workflow_scripts/preflight.py",
            "    args = parse_args()\n",
            "    _stop_at_the_gate()\n    args = parse_args()\n",
        )
        edit(training / "workflow_scripts/preflight.py", "def main()", GATE.strip() + "\n\n\ndef main()")
        judges = start(cluster, judging, *SHARDS)
        trains = start(cluster, training, f"{RUN}/manifest.json")
        a_chunk_is_kept(judging, 0, 1)
        wait_for("preflight runs", (training / "gate/reached").exists, PATIENCE_S)
        cluster.kill_daemon("slurmctld")
        try:
            open_gate(judging)  # its jobs end while nobody can be told
            open_gate(training)  # the next job cannot be submitted
            since = time.monotonic()
            assert UNREACHED in cluster.refused("sbatch", "--wrap=true")
            for checkout, process in ((judging, judges), (training, trains)):
                wait_for_line(log_of(checkout), "SLURM does not answer", process, PATIENCE_S)
            time.sleep(max(0, AWAY_S - (time.monotonic() - since)))
        finally:
            cluster.start_daemon("slurmctld")
    finally:
        back.set()
    return judging, finish(judges, judging, seconds=PATIENCE_S), training, finish(trains, training, seconds=PATIENCE_S)


def out_of_memory(cluster, calm: Calm, back: threading.Event) -> tuple[Path, Counter[str]]:
    """Let a shard's job use more memory than its first attempt asked for."""
    back.wait()
    checkout = calm.to_judge("memory")
    plant(checkout, HOG)
    edit(checkout / "studies/demo.yaml", "{backend: lexical}", f"{{backend: lexical, mem_mb: {MEM_MB}}}")
    process = start(cluster, checkout, SHARDS[0])
    a_chunk_is_kept(checkout, 0)
    wait_for_line(log_of(checkout), "Trying to restart", process, PATIENCE_S)
    before = kept(checkout, 0)
    open_gate(checkout)
    finish(process, checkout, seconds=PATIENCE_S)
    return checkout, before


def snakemake_killed(cluster, calm: Calm, back: threading.Event) -> tuple[Path, str, list[Counter[str]]]:
    """Kill Snakemake while two shards are judged, start it again, and cancel one of the jobs left behind."""
    back.wait()
    checkout = calm.to_judge("killed")
    plant(checkout)
    process = start(cluster, checkout, *SHARDS)
    a_chunk_is_kept(checkout, 0, 1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finish(start(cluster, checkout, "--unlock", *SHARDS), checkout, seconds=PATIENCE_S)
    process = start(cluster, checkout, *SHARDS)
    submitted = "has been submitted with SLURM jobid"
    wait_for("both jobs are submitted", lambda: log_of(checkout).read_text().count(submitted) == 4, PATIENCE_S)
    before = [kept(checkout, shard) for shard in (0, 1)]
    (left,) = re.findall(r"^    (\d+)  rule_judge_responses_.*_1_2$", log_of(checkout).read_text(), re.MULTILINE)
    cluster.run("scancel", left)
    open_gate(checkout)
    return checkout, finish(process, checkout, seconds=PATIENCE_S), before


def two_snakemakes(cluster, calm: Calm) -> tuple[Path, str, str]:
    """Start a second Snakemake, on this machine, while the first has a shard judged on the cluster."""
    checkout = calm.to_judge("two")
    plant(checkout)
    first = start(cluster, checkout, SHARDS[0])
    a_chunk_is_kept(checkout, 0)
    here = ("--executor=local", "--cores=2")
    second = start(cluster, checkout, *here, SHARDS[0], profile="profiles/local")
    refused = finish(second, checkout, seconds=PATIENCE_S, status=1)
    second = start(cluster, checkout, *here, "--nolock", SHARDS[0], profile="profiles/local")
    log = checkout / "results/demo/logs/judge_responses/corpus-papers/0-of-2.log"
    wait_for_line(log, "waiting for another writer", second, PATIENCE_S)
    waited = log.read_text()
    open_gate(checkout)
    for process in (first, second):
        finish(process, checkout, seconds=PATIENCE_S)
    return checkout, refused, waited


def no_room_for_logs(cluster, calm: Calm) -> tuple[Path, list[str]]:
    """Judge while nothing can be written where the logs of rules lie, nor where those of SLURM's jobs lie."""
    checkout = calm.to_judge("full")
    folders = [checkout / "results/demo/logs", checkout / ".snakemake/slurm_logs"]
    mounted = []
    try:
        for folder in folders:
            full_disk(folder)
            mounted.append(folder)
        finish(start(cluster, checkout, *SHARDS), checkout, seconds=PATIENCE_S)
        written = [str(file) for folder in folders for file in folder.rglob("*.log") if file.stat().st_size]
    finally:
        for folder in mounted:
            subprocess.run(["umount", "--lazy", folder], check=True)
    return checkout, written


@pytest.fixture(scope="module")
def calm(finished_demo, tmp_path_factory) -> Calm:
    return Calm(finished_demo, tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def stories(cluster, calm, tmp_path_factory) -> dict[str, Future]:
    back = threading.Event()
    with ThreadPoolExecutor() as pool:
        told = {story.__name__: pool.submit(story, cluster, calm) for story in (two_snakemakes,)}
        if may_mount(tmp_path_factory.mktemp("mount")):
            told["no_room_for_logs"] = pool.submit(no_room_for_logs, cluster, calm)
        for story in (controller_away, out_of_memory, snakemake_killed):
            told[story.__name__] = pool.submit(story, cluster, calm, back)
    return told


def test_a_controller_that_is_away_delays_and_loses_nothing(stories, calm, cluster):
    judging, _, training, said = stories["controller_away"].result()
    assert_judged(calm, judging, 0, 1)
    assert {job.state for job in ended_jobs(cluster, judging, 2)} == {"COMPLETED"}
    assert (training / MODEL).read_bytes() == calm.bytes_of(MODEL)
    assert said.index("SLURM does not answer") < said.index("SLURM answers again")
    assert "sbatch failed" not in said


def test_out_of_memory_the_next_attempt_asks_for_more(stories, calm, cluster):
    checkout, before = stories["out_of_memory"].result()
    first, second = ended_jobs(cluster, checkout, 2)
    assert (first.state, second.state) == ("FAILED", "COMPLETED")
    (said,) = [file.read_text() for file in checkout.glob(f".snakemake/slurm_logs/*/*/{first.id}.log")]
    assert f"StepId={first.id}.0 exceeded memory limit" in said
    assert f"StepId={first.id}.1" not in said  # tried again in a job of its own, not in the one that was too small
    assert [job.asked["mem"] for job in (first, second)] == [f"{MEM_MB}M", f"{2 * MEM_MB}M"]
    assert 0 < len(before) < len(kept(checkout, 0))
    assert f"{len(before)} judged before" in log_of_shard(checkout, 0)
    assert_judged(calm, checkout, 0)


def test_jobs_that_a_killed_snakemake_left_end_before_theirs_begin_anew(stories, calm, cluster):
    checkout, said, before = stories["snakemake_killed"].result()
    assert "2 SLURM jobs of an earlier snakemake still belong to this checkout" in said
    found = ended_jobs(cluster, checkout, 4)
    by_shard = [[job for job in found if job.comment.endswith(f"_{shard}_2")] for shard in (0, 1)]
    for orphan, anew in by_shard:
        assert anew.state == "COMPLETED"
        assert anew.started >= orphan.ended
    assert by_shard[0][0].state == "COMPLETED"
    assert by_shard[1][0].state.startswith("CANCELLED")
    assert ": 0 judged now" in log_of_shard(checkout, 0)
    assert 0 < len(before[1]) < len(kept(checkout, 1))
    assert f"{len(before[1])} judged before" in log_of_shard(checkout, 1)
    assert_judged(calm, checkout, 0, 1)


def test_a_second_snakemake_is_refused_and_without_its_lock_waits_at_ours(stories, calm):
    checkout, refused, waited = stories["two_snakemakes"].result()
    assert "Directory cannot be locked" in refused
    assert "other Snakemake process" in refused
    assert "corpus-papers-0-of-2.jsonl.lock" in waited
    assert ": 0 judged now" in log_of_shard(checkout, 0)
    assert_judged(calm, checkout, 0)


def test_no_room_for_logs_costs_logs_alone(stories, calm):
    if "no_room_for_logs" not in stories:
        # Root of a container may lack this right, and no package gives it.
        pytest.skip("no file system may be mounted here")
    checkout, written = stories["no_room_for_logs"].result()
    assert written == []
    assert_judged(calm, checkout, 0, 1)
