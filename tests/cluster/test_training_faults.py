"""Trainings that the cluster breaks off: each goes on where it was, and ends with the bits of one left alone.

All faults happen side by side, to runs of one Snakemake call: those of the demo under other names, which are in its
finished results already, so that the runs' data are as they were and their weights are known.
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.submitting import Job, finish, jobs, only, start
from cluster.training_faults import RUNS, happen
from cluster.trainings import PATIENCE_S, Held, Trainings
from winnow.core.files import read_json
from winnow.training.metrics import read_metrics, repeatable

pytestmark = pytest.mark.timeout(1700)

MINUTES = 240  # of the first attempt, since neither the runs nor the profile say otherwise


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        held: where its first trainer was when the fault struck.
        jobs: what accounting holds of it, one for every time that SLURM started it.
        starts: of trainers that trained: from which step, and how it ended.
        log: what its last trainer said.
        notes: what was seen on the way of all runs.
    """

    held: Held
    jobs: list[Job]
    starts: list[tuple[int, str]]
    log: str
    notes: dict[str, object]

    @property
    def states(self) -> list[str]:
        return [job.state for job in self.jobs]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, finished_demo) -> Path:
    folder = Path(shutil.copytree(finished_demo, tmp_path_factory.mktemp("faults") / "checkout", symlinks=True))
    study = folder / "studies/demo.yaml"
    runs = "".join(f"  {name}: {{{what}}}\n" for name, (what, _) in RUNS.items())
    before = study.read_text()
    study.write_text(before.replace("\nruns:\n", f"\nruns:\n{runs}"))
    assert study.read_text() != before
    for run, (_, repeated) in RUNS.items():  # preflight is not what is tested, and eight of them take a while
        (folder / "results/demo/runs" / run).mkdir()
        shutil.copy(folder / f"results/demo/runs/{repeated}/preflight.json", folder / f"results/demo/runs/{run}")
    return folder


@pytest.fixture(scope="module")
def outcomes(cluster_to_break, checkout) -> dict[str, Outcome]:
    """What became of each run, after all that was done to them."""
    cluster = cluster_to_break
    cluster.run("scontrol", "update", "PartitionName=cpu", "State=DOWN")  # until all wait in the queue
    snakemake = start(cluster, checkout, *(f"results/demo/runs/{run}/manifest.json" for run in RUNS))
    trainings = Trainings(cluster, checkout, snakemake)
    patience = 1.0
    try:
        happen(trainings)
        patience = PATIENCE_S
    finally:
        try:
            finish(snakemake, checkout, seconds=patience)
        finally:
            trainings.end()
    recorded = jobs(cluster, checkout)
    return {
        run: Outcome(
            trainings.held[run],
            [job for job in recorded if job.comment.endswith(f"_{run}")],
            trainings.starts(run),
            trainings.log(run),
            trainings.notes,
        )
        for run in RUNS
    }


def test_trainers_save_five_minutes_before_their_time_is_up(outcomes):
    outcome = outcomes["limit"]
    assert outcome.states == ["FAILED", "COMPLETED"]
    assert outcome.jobs[1].minutes == 2 * MINUTES
    assert saved_and_went_on(outcome)


def test_no_shell_stands_between_snakemake_and_a_trainer(outcomes):
    """It would die of the SIGTERM that all processes of a step get, and SLURM would kill the trainer while it saves."""
    assert outcomes["limit"].notes["parent"][1:3] == ["-m", "snakemake"]


def test_a_trainer_that_does_not_end_in_time_is_killed(outcomes):
    outcome = outcomes["stuck"]
    assert outcome.states == ["TIMEOUT", "COMPLETED"]
    assert outcome.jobs[1].minutes == 2 * MINUTES
    (start, first), (step, second) = outcome.starts
    assert (start, first, second) == (0, "cut off", "finished")
    assert 0 < step <= outcome.held.step
    assert step % 2 == 0  # where it saves anyway


def test_a_cancelled_trainer_saves_and_the_next_attempt_goes_on(outcomes):
    outcome = outcomes["cancelled"]
    assert outcome.states == ["CANCELLED by 0", "COMPLETED"]
    assert len({job.id for job in outcome.jobs}) == 2
    assert saved_and_went_on(outcome)


def test_a_requeued_trainer_saves_and_goes_on_when_it_is_started_again(outcomes):
    outcome = outcomes["requeued"]
    assert outcome.states == ["REQUEUED", "COMPLETED"]
    assert {job.id for job in outcome.jobs} == {outcome.held.job}
    assert saved_and_went_on(outcome)


def test_a_drained_node_ends_its_job_and_starts_the_next_when_it_is_back(outcomes):
    drained, following = only(outcomes["drained"].jobs), only(outcomes["restarted"].jobs)
    assert drained.state == following.state == "COMPLETED"
    assert outcomes["drained"].notes["following"] == "PENDING"
    assert following.started >= drained.ended
    assert outcomes["drained"].held.node == outcomes["restarted"].held.node
    assert outcomes["drained"].starts == [(0, "finished")]


def test_a_job_outlives_the_daemon_of_its_node(outcomes):
    outcome = outcomes["restarted"]
    assert only(outcome.jobs).state == "COMPLETED"
    assert outcome.starts == [(0, "finished")]


def test_a_job_of_a_lost_node_goes_on_elsewhere(outcomes):
    outcome = outcomes["lost"]
    assert outcome.states == ["NODE_FAIL", "COMPLETED"]
    assert {job.id for job in outcome.jobs} == {outcome.held.job}  # SLURM's doing: Snakemake has sent it once
    (start, first), (step, second) = outcome.starts
    assert (start, first, second) == (0, "cut off", "finished")
    assert 0 < step <= outcome.held.step
    assert step % 7 == 0  # where it saves anyway


def test_a_second_trainer_waits_for_one_that_a_lost_node_still_runs_and_takes_over_its_model(outcomes):
    outcome = outcomes["orphan"]
    assert outcome.states == ["NODE_FAIL", "COMPLETED"]
    assert {job.id for job in outcome.jobs} == {outcome.held.job}
    assert outcome.notes["trainers"] == 2
    assert outcome.log.index("waiting for another writer") < outcome.log.index("is finished; adopting it")
    assert outcome.starts == [(0, "finished")]


@pytest.mark.parametrize("run", RUNS)
def test_the_model_is_that_of_an_undisturbed_run(outcomes, checkout, finished_demo, run):
    def made(root: Path, name: str) -> dict[str, object]:
        manifest = read_json(root / "results/demo/runs" / name / "manifest.json")
        manifest["run"] |= {"name": None}
        return {
            "manifest": manifest | {"outputs": None},  # the settings, in which the run's name stands
            "metrics": repeatable(read_metrics(root / "results/demo/runs" / name / "metrics.jsonl")),
            "model": hashes(root / "checkpoints/demo" / name / "model", but="README.md"),  # the model's card
        }

    assert outcomes[run].jobs
    repeated = RUNS[run][1]
    assert any(file.endswith(".safetensors") for file in hashes(checkout / f"checkpoints/demo/{run}/model"))
    assert made(checkout, run) == made(finished_demo, repeated)


def test_nothing_else_was_touched_and_nothing_is_left_behind(outcomes, checkout, finished_demo):
    for folder in ("results/demo/datasets", "results/demo/scores", "results/demo/corpus"):
        assert hashes(checkout / folder) == hashes(finished_demo / folder)
    for run in RUNS:
        folder = checkout / "checkpoints/demo" / run
        identity = read_json(checkout / "results/demo/runs" / run / "manifest.json")["run"]["identity"]
        assert {path.name for path in folder.iterdir()} == {identity, "model", "starts.jsonl"}
        assert not list(folder.rglob("checkpoint-*"))


def saved_and_went_on(outcome: Outcome) -> bool:
    """Say whether the first trainer saved right after it was told to, and the second went on from there."""
    (start, first), (step, second) = outcome.starts
    soon = range(outcome.held.step, outcome.held.step + 3)
    return (start, first, second) == (0, "stopped", "finished") and step in soon


def hashes(folder: Path, but: str = "") -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != but)
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
