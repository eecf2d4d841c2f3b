"""The demo study, with all its runs, through profiles/slurm on a real cluster."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

import workflow
from cluster.cluster import GPU_MODEL
from cluster.submitting import Job, finish, jobs, start

pytestmark = pytest.mark.timeout(1700)

# The demo trains on CPUs and asks for no GPU. Here the profile asks for some, as a site may: the scheduler gives them,
# the trainers are not told, and what they make can be compared with what a laptop makes.
ASKED_BY_THE_PROFILE = {
    "train_sft": {
        "gpu": "3 if wildcards.run == 'sft_vision' else 1",
        "gpu_model": GPU_MODEL,
        "runtime": "attempt * 90",
    },
    "train_dpo": {"gpu": 2, "mem_mb": 48000, "threads": 12},
    "evaluate_run": {"gpu": 1},
}
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
    "sft_clean": ("gpu", 1, 1, 16000, 90),
    "sft_clean_images": ("gpu", 1, 1, 16000, 90),
    "sft_vision": ("gpu", 3, 1, 16000, 90),
    "sft_lora_clean": ("gpu", 1, 1, 16000, 90),
    "dpo_clean-beta0.1": ("gpu", 2, 12, 48000, 240),
    "dpo_clean-beta0.05": ("gpu", 2, 12, 48000, 240),
    "dpo_clean_images-beta0.1": ("gpu", 2, 12, 48000, 240),
    "dpo_vision-beta0.1": ("gpu", 2, 12, 48000, 240),
    "merge_adapter": ("cpu", 0, 1, 16000, 60),
    "generate_responses": ("cpu", 0, 1, 16000, 120),
    "gather_generations": ("cpu", 0, 1, 4000, 30),
    "evaluate_run": ("gpu", 1, 1, 16000, 120),
    "measure_responses": ("cpu", 0, 1, 6000, 120),
    "compare_runs": ("cpu", 0, 1, 4000, 30),
    "build_report": ("cpu", 0, 1, 4000, 30),
}
PARENT = {"dpo_clean-beta0.1": "sft_clean", "dpo_clean-beta0.05": "sft_clean"} | {
    f"dpo_{modality}-beta0.1": f"sft_{modality}" for modality in ("clean_images", "vision")
}


def what(job):
    """A training's run, another job's rule."""
    return job.comment.removeprefix(f"rule_{job.rule}_wildcards_demo_") if job.rule.startswith("train_") else job.rule


def megabytes(memory: str) -> int:
    """SLURM writes 24000M, and 16000M as 15.625G."""
    return round(float(memory[:-1]) * {"M": 1, "G": 1024}[memory[-1]])


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    folder = workflow.copy_checkout(tmp_path_factory.mktemp("demo") / "checkout")
    profile = folder / "profiles" / "slurm" / "config.yaml"
    settings = yaml.safe_load(profile.read_text())
    for rule, asked in ASKED_BY_THE_PROFILE.items():
        settings["set-resources"].setdefault(rule, {}).update(asked)
    threads = {rule: asked.pop("threads") for rule, asked in settings["set-resources"].items() if "threads" in asked}
    profile.write_text(yaml.safe_dump(settings | {"set-threads": threads}))
    return folder


@pytest.fixture(scope="module")
def ran(cluster, checkout) -> list[Job]:
    """The jobs of the whole study."""
    target = "results/demo/report.html"
    # Few jobs at once: the cluster believes that it has 128 CPUs, but the machine has not.
    finish(start(cluster, checkout, "--jobs=6", target, profile="profiles/slurm"), checkout, seconds=1500)
    assert (checkout / target).exists()
    return jobs(cluster, checkout)


def test_every_job_asked_for_what_it_should(ran):
    asked = {
        (what(job), (job.partition, job.gpus, int(job.asked["cpu"]), megabytes(job.asked["mem"]), job.minutes))
        for job in ran
    }
    assert asked == set(EXPECTED.items())
    asked_for_a_kind = {what(job) for job in ran if f"gres/gpu:{GPU_MODEL}" in job.asked}
    assert asked_for_a_kind == {"sft_clean", "sft_clean_images", "sft_vision", "sft_lora_clean"}


def test_every_job_ran_once_and_none_failed(ran):
    assert {job.state for job in ran} == {"COMPLETED"}
    assert set(Counter(job.comment for job in ran).values()) == {1}
    expected = Counter(train_sft=4, train_dpo=4, generate_responses=11, evaluate_run=11, judge_responses=7)
    assert Counter(job.rule for job in ran) >= expected


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

    cluster = hashes(checkout / "results/demo", checkout / "checkpoints/demo")
    assert len(cluster) > 50
    assert cluster == hashes(finished_demo / "results/demo", finished_demo / "checkpoints/demo")


def test_nothing_is_left_to_do(cluster, checkout, ran):
    said = finish(start(cluster, checkout, "results/demo/report.html"), checkout, seconds=60)
    assert "Nothing to be done" in said
    assert len(jobs(cluster, checkout)) == len(ran)


def test_the_report_counts_what_slurm_gave(ran, checkout):
    usage = json.loads((checkout / "results/demo/usage.json").read_text())
    assert usage["accounting"]["answered"]
    rows = {row["rule"]: row for row in usage["rules"]}
    for rule in ("train_sft", "train_dpo", "evaluate_run"):
        given = [job for job in ran if job.rule == rule]
        assert rows[rule]["jobs"] == rows[rule]["accounted_jobs"] == rows[rule]["attempts"] == len(given)
        assert rows[rule]["gpu_hours"] == pytest.approx(sum(job.gpus * job.seconds for job in given) / 3600)
        assert rows[rule]["failed"] == {}
    # Jobs that run where Snakemake runs are not SLURM's; the report's own job had not ended when this was counted.
    assert usage["total"]["accounted_jobs"] == len(ran) - 1
