"""The demo study, with all its runs, through profiles/slurm on a real cluster."""

import hashlib
from collections import Counter
from pathlib import Path

import pytest

import workflow
from cluster.cluster import GPU_MODEL
from cluster.submitting import finish, jobs, start

# The demo asks for no GPU. Here its trainings do. They find none behind the device files and
# train on the CPU as ever, so that the results can be compared; the run with two GPUs trains in two processes.
STUDY = f"""\
extends: demo
study: demo_gpus
runs:
  sft_{{modality}}: {{gpu: 1, gpu_model: {GPU_MODEL}, threads: 6, mem_mb: 24000, runtime: 90}}
  dpo_{{modality}}: {{gpu: 1, threads: 12, mem_mb: 48000, runtime: 100}}
  dpo_clean: {{gpu: 2, threads: 16, mem_mb: 64000}}
evaluation: {{gpu: 1, mem_mb: 9000, runtime: 20}}
"""
TWO_PROCESSES = "dpo_clean-beta0.05"
# rule and what its wildcards hold → partition, GPUs, CPUs, memory (MB), minutes. Written down by hand.
EXPECTED = {
    "ingest": ("cpu", 0, 1, 4000, 60),
    "draw_images": ("cpu", 0, 4, 8000, 240),
    "split": ("cpu", 0, 1, 4000, 60),
    "judge_responses": ("cpu", 0, 1, 4000, 60),
    "gather_scores": ("cpu", 0, 1, 4000, 60),
    "select_responses": ("cpu", 0, 1, 4000, 30),
    "pair_responses": ("cpu", 0, 1, 4000, 30),
    "render_dataset": ("cpu", 0, 1, 6000, 60),
    "align_modalities": ("cpu", 0, 1, 4000, 30),
    "validate_dataset": ("cpu", 0, 1, 6000, 60),
    "export_datasets": ("cpu", 0, 1, 4000, 30),
    "render_heldout": ("cpu", 0, 1, 6000, 60),
    "align_heldout": ("cpu", 0, 1, 4000, 30),
    "sft_clean": ("gpu", 1, 6, 24000, 90),
    "sft_clean_images": ("gpu", 1, 6, 24000, 90),
    "sft_vision": ("gpu", 1, 6, 24000, 90),
    "sft_lora_clean": ("cpu", 0, 1, 16000, 240),
    "dpo_clean-beta0.1": ("gpu", 1, 12, 48000, 100),
    "dpo_clean_images-beta0.1": ("gpu", 1, 12, 48000, 100),
    "dpo_vision-beta0.1": ("gpu", 1, 12, 48000, 100),
    TWO_PROCESSES: ("gpu", 2, 16, 64000, 240),
    "merge_adapter": ("cpu", 0, 1, 16000, 60),
    "evaluate_run": ("gpu", 1, 1, 9000, 20),
    "compare_runs": ("cpu", 0, 1, 4000, 30),
    "build_report": ("cpu", 0, 1, 4000, 30),
}
PARENT = {"dpo_clean-beta0.1": "sft_clean", TWO_PROCESSES: "sft_clean"} | {
    f"dpo_{modality}-beta0.1": f"sft_{modality}" for modality in ("clean_images", "vision")
}


def what(job):
    """A training's run, another job's rule."""
    return (
        job.comment.removeprefix(f"rule_{job.rule}_wildcards_demo_gpus_") if job.rule.startswith("train_") else job.rule
    )


def megabytes(memory: str) -> int:
    """SLURM writes 24000M, and 16000M as 15.625G."""
    return round(float(memory[:-1]) * {"M": 1, "G": 1024}[memory[-1]])


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    folder = workflow.copy_checkout(tmp_path_factory.mktemp("demo") / "checkout")
    (folder / "studies" / "demo_gpus.yaml").write_text(STUDY)
    return folder


@pytest.fixture(scope="module")
def ran(cluster, checkout) -> list:
    """The jobs of the whole study."""
    target = "results/demo_gpus/report.html"
    finish(start(cluster, checkout, target, profile="profiles/slurm"), checkout, seconds=800)
    assert (checkout / target).exists()
    return jobs(cluster, checkout)


def test_every_job_asked_for_what_it_should(ran):
    asked = {
        (what(job), (job.partition, job.gpus, int(job.asked["cpu"]), megabytes(job.asked["mem"]), job.minutes))
        for job in ran
    }
    assert asked == set(EXPECTED.items())
    asked_for_a_kind = {what(job) for job in ran if f"gres/gpu:{GPU_MODEL}" in job.asked}
    assert asked_for_a_kind == {"sft_clean", "sft_clean_images", "sft_vision"}


def test_every_job_ran_once_and_none_failed(ran):
    assert {job.state for job in ran} == {"COMPLETED"}
    assert set(Counter(job.comment for job in ran).values()) == {1}
    assert Counter(job.rule for job in ran) >= Counter(train_sft=4, train_dpo=4, evaluate_run=11, judge_responses=5)


def test_dpo_begins_after_its_sft_has_ended(ran):
    trained = {what(job): job for job in ran if job.rule.startswith("train_")}
    assert len(trained) == 8
    for child, parent in PARENT.items():
        assert trained[child].started >= trained[parent].ended
        assert trained[child].submitted >= trained[parent].ended


def test_the_cluster_makes_the_same_data_and_weights_as_a_laptop(ran, checkout, finished_demo):
    def hashes(results: Path, checkpoints: Path) -> dict[str, str]:
        files = [
            *results.rglob("*.parquet"),
            *results.rglob("validation.json"),
            *results.rglob("review_evaluations.jsonl"),
        ]
        folders = [
            *[(results, file) for file in files],
            *[(checkpoints, f) for f in checkpoints.glob("*/model/*.safetensors")],
        ]
        return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for root, file in folders}

    cluster = hashes(checkout / "results/demo_gpus", checkout / "checkpoints/demo_gpus")
    assert len(cluster) > 50
    assert cluster == hashes(finished_demo / "results/demo", finished_demo / "checkpoints/demo")


def test_nothing_is_left_to_do(cluster, checkout, ran):
    said = finish(start(cluster, checkout, "results/demo_gpus/report.html"), checkout, seconds=60)
    assert "Nothing to be done" in said
    assert len(jobs(cluster, checkout)) == len(ran)
