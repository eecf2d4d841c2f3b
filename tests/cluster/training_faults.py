"""What happens to trainings on a cluster, side by side: each fault strikes a run of its own.

The runs are those of the demo under other names, so that their weights are known.
"""

import os
from concurrent.futures import ThreadPoolExecutor

from cluster.trainings import Trainings, go_on, parent

SFT = "stage: sft, dataset: sft, modality: clean, recipe: recipes/sft_tiny.yaml, threads: 1"
DPO = "stage: dpo, dataset: dpo, modality: clean, parent: sft_clean, recipe: recipes/dpo_tiny.yaml, threads: 1"
# run → what it is, and the demo's run that it repeats
RUNS = dict.fromkeys(("limit", "cancelled", "requeued", "drained", "restarted", "lost", "orphan"), (SFT, "sft_clean"))
RUNS["stuck"] = (DPO, "dpo_clean-beta0.1")
STEP = 10  # in the middle of 30, and no step at which SFT saves anyway


def happen(trainings: Trainings) -> None:
    """Let it all happen, once the jobs wait in a queue that is held; faults of nodes keep apart from each other."""
    cluster = trainings.cluster
    trainings.wait_for("all jobs are queued", lambda: all(map(trainings.job, RUNS)))
    for runs, nodes in (
        (("limit", "stuck", "cancelled", "requeued"), ["node1"]),
        (("drained", "restarted"), ["node2"]),
        (("lost", "orphan"), ["node3", "node4"]),
    ):
        for run in runs:
            trainings.place(run, nodes)
    cluster.run("scontrol", "hold", trainings.queued("restarted"))
    cluster.run("scontrol", "update", "PartitionName=cpu", "State=UP")
    faults = (announced_limit, limit_of_a_stuck_one, cancelled, requeued, drained_and_restarted_node, lost_node)
    with ThreadPoolExecutor(len(faults)) as pool:
        struck = [pool.submit(fault, trainings) for fault in faults]
    for each in struck:
        each.result()


def announced_limit(trainings: Trainings) -> None:
    """The time limit draws near."""
    held = trainings.hold("limit", STEP)
    trainings.notes["parent"] = parent(held)
    trainings.cluster.run("scontrol", "update", f"JobId={held.job}", "EndTime=now+5minutes")


def limit_of_a_stuck_one(trainings: Trainings) -> None:
    """A trainer waits for a disk that does not answer, until its time is up."""
    held = trainings.reached("stuck", 3)
    metrics = trainings.metrics("stuck")
    assert metrics
    pipe = metrics.with_name("pipe")
    os.mkfifo(pipe)
    pipe.rename(metrics)  # nobody reads from it: opening it for the next line takes for ever
    trainings.cluster.run("scontrol", "update", f"JobId={held.job}", "TimeLimit=1")
    trainings.gone(held)
    metrics.unlink()


def cancelled(trainings: Trainings) -> None:
    """Somebody cancels the job."""
    held = trainings.hold("cancelled", STEP)
    trainings.cluster.run("scancel", held.job)


def requeued(trainings: Trainings) -> None:
    """Somebody puts the job back into the queue."""
    held = trainings.hold("requeued", STEP)
    trainings.cluster.run("scontrol", "requeue", held.job)


def drained_and_restarted_node(trainings: Trainings) -> None:
    """A node is drained under a job while the next one waits; under that one slurmd dies and is started again."""
    cluster, following = trainings.cluster, trainings.queued("restarted")
    held = trainings.hold("drained", STEP)
    cluster.run("scontrol", "update", f"NodeName={held.node}", "State=DRAIN", "Reason=test")
    cluster.run("scontrol", "release", following)
    go_on(held)
    trainings.gone(held)
    state = ("sinfo", "--noheader", f"--nodes={held.node}", "--partition=cpu", "--format=%T")
    trainings.wait_for(f"{held.node} is drained", lambda: cluster.run(*state) == "drained")
    trainings.notes["following"] = trainings.state("restarted")
    cluster.run("scontrol", "update", f"NodeName={held.node}", "State=RESUME")

    held = trainings.hold("restarted", STEP)
    cluster.kill_daemon(held.node, "KILL")
    cluster.start_daemon(held.node)
    go_on(held)


def lost_node(trainings: Trainings) -> None:
    """A node's slurmd is gone with all that ran there, but for one trainer, of which SLURM no longer hears."""
    lost, orphan = trainings.hold("lost", STEP), trainings.hold("orphan", STEP)
    assert lost.node == orphan.node
    trainings.cluster.kill_daemon(lost.node, "KILL")
    trainings.cut_power(lost)

    lock = trainings.checkout / "checkpoints/demo/orphan/writer.lock"

    def is_waiting() -> bool:
        os.utime(lock)  # the heartbeat that a stopped process cannot give
        return "waiting for another writer" in trainings.log("orphan")

    trainings.wait_for("the second trainer waits", is_waiting)
    trainings.notes["trainers"] = len(trainings.processes("orphan"))
    go_on(orphan)
    trainings.gone(orphan)
    trainings.cluster.start_daemon(orphan.node)  # the node comes back
