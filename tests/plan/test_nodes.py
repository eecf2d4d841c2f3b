"""What a run on several machines asks a scheduler for, and where it is refused."""

import re

import pytest

from workflow import copy_checkout, planned, snakemake

STUDY = """\
extends: demo
study: several
runs:
  sft_{modality}: {gpu: 16, nodes: 2, gpu_model: a100, threads: 64}
  dpo_{modality}: {gpu: 8, gpu_model: a100}
"""
SEVERAL = {"gres": "gpu:a100:8", "nodes": "2", "tasks": "2", "tasks_per_gpu": "0", "mpi": "srun"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    folder = copy_checkout(tmp_path_factory.mktemp("nodes") / "checkout")
    (folder / "studies" / "several.yaml").write_text(STUDY)
    return folder


def test_the_message_tells_gpus_by_machine(checkout):
    said = planned(checkout, "--profile", "slurm", "results/several/runs/sft_clean/manifest.json")
    asked = dict(said)["Training sft_clean of several (SFT)"]
    assert asked.startswith("gpu=2x8 cpu=64 ")


def test_machines_are_asked_for_with_gpus_on_each_and_only_where_there_are_several(checkout):
    rules = checkout / "rules" / "training.smk"
    # Snakemake prints the resources of a job that has no message.
    rules.write_text(re.sub(r" +message:\n +asking\(.*\)\n", "", rules.read_text()))
    done = snakemake(
        checkout, "--dry-run", "--profile", "slurm", "results/several/runs/dpo_clean-beta0.1/manifest.json"
    )
    blocks = re.findall(r"^rule (train_\w+):\n((?: {4}.*\n)+)", done.stdout + done.stderr, re.MULTILINE)
    asked = {
        rule: dict(pair.split("=", 1) for pair in re.search(r"resources: (.+)", block)[1].split(", "))
        for rule, block in blocks
    }
    names = {*SEVERAL, "gpu", "gpu_model"}
    found = {rule: {name: value for name, value in values.items() if name in names} for rule, values in asked.items()}
    assert found == {"train_sft": SEVERAL, "train_dpo": {"gpu": "8", "gpu_model": "a100"}}


def test_a_run_on_several_machines_is_refused_where_none_can_be_started(checkout, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    done = snakemake(checkout, "--cores", "1", "results/several/runs/sft_clean/manifest.json", check=False)
    assert done.returncode
    assert "key runs.sft_clean.nodes: 2 machines cannot be started from here" in done.stdout + done.stderr
    assert not (checkout / "results").exists()  # nothing ran before
