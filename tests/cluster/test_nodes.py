"""A run on two machines of a real cluster: what SLURM is asked for, equal bits, and no process left behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import workflow
from cluster.cluster import GPU_MODEL, wait_for
from cluster.submitting import finish, jobs, start, wait_for_line
from cluster.trainings import processes_with
from training import fixtures
from winnow.training.metrics import read_metrics, repeatable

# One process on each machine, on its CPU: the GPUs of this cluster are device files.
STUDY = """\
extends: demo
study: several
runs:
  sft_{modality}:
    nodes: 2
    processes: 2
    threads: 3
    mem_mb: 2000
    overrides:
      {max_steps: 60, eval_steps: 60, save_steps: 20, effective_batch_size: 4, per_device_train_batch_size: 2,
       per_device_eval_batch_size: 1}
"""
RUN = "results/several/runs/sft_clean"
LOG = "results/several/logs/train/sft_clean.log"
GPUS = ("--set-resources", f"train_sft:gres=gpu:{GPU_MODEL}:2")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which all that the run reads is made."""
    folder = workflow.copy_checkout(tmp_path_factory.mktemp("nodes") / "checkout")
    (folder / "studies" / "several.yaml").write_text(STUDY)
    results = folder / "results" / "several"
    fixtures.make_model(results / "models" / "text", fixtures.write_texts(folder / "texts"))
    fixtures.write_rows(results / "datasets" / "sft" / "clean", "sft", 16, 4)
    (folder / RUN).mkdir(parents=True)
    (folder / RUN / "preflight.json").write_text("{}")
    (results / "models" / "text" / "manifest.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def asked(cluster, checkout) -> str:
    """The run, put back into the queue in its middle, and beside it the same in one place; what SLURM was asked for."""
    process = start(cluster, checkout, *GPUS, "--allowed-rules", "train_sft", "--", f"{RUN}/manifest.json")
    wait_for_line(checkout / LOG, "step 0: validation loss", process)
    # Held still, so that they are in the middle however long SLURM takes; when it ends a job it lets them go on.
    for pid in processes_with("workflow_scripts/train_sft.py", checkout):
        os.kill(pid, signal.SIGSTOP)
    job = dict(line.split()[::-1] for line in cluster.run("squeue", "-h", "-o", "%i %Z").splitlines())[str(checkout)]
    cluster.run("scontrol", "requeue", job)
    said = cluster.run("scontrol", "show", "job", "-d", job)
    alone = start_alone(checkout)
    finish(process, checkout, seconds=300)
    assert alone.wait(300) == 0, (checkout / "alone/log").read_text()
    return said


def start_alone(checkout: Path) -> "subprocess.Popen[str]":
    """Start the same run in two processes of one machine; its results go to `alone`."""
    (spec,) = checkout.glob("checkpoints/several/sft_clean/*/spec.json")
    run = json.loads(spec.read_text()) | {"nodes": 1}
    results, out = checkout / "results/several", checkout / "alone"
    out.mkdir()
    command = ["launch.py", "--processes", "2", "workflow_scripts/train_sft.py", "--spec", json.dumps(run)]
    command += ["--train", f"{results}/datasets/sft/clean/train.parquet", "--model", f"{results}/models/text"]
    command += ["--val", f"{results}/datasets/sft/clean/val.parquet", "--checkpoints", "alone/checkpoints"]
    command += [
        "--spec-out",
        "alone/spec.json",
        "--metrics",
        "alone/metrics.jsonl",
        "--manifest",
        "alone/manifest.json",
    ]
    with (out / "log").open("w") as log:
        whole = [sys.executable, f"workflow_scripts/{command[0]}", *command[1:]]
        return subprocess.Popen(whole, cwd=checkout, stderr=log, text=True)


def test_slurm_is_asked_for_machines_with_gpus_on_each(cluster, checkout, asked) -> None:
    assert f"TresPerNode=gres:gpu:{GPU_MODEL}:2" in asked
    last = jobs(cluster, checkout)[-1]
    assert last.state == "COMPLETED"
    given = {"node": "2", "cpu": "6", "mem": "4000M", "gres/gpu": "4"}
    assert {name: last.given[name] for name in given} == given


def test_a_requeued_run_on_two_machines_has_the_bits_of_an_unbroken_one_on_one(checkout, asked) -> None:
    assert re.search(r"training sft_clean on from step \d+ of 60", (checkout / LOG).read_text())
    weights = {file.name: file.read_bytes() for file in (checkout / "alone/checkpoints/model").glob("*.safetensors")}
    assert weights
    for name, expected in weights.items():
        assert (checkout / "checkpoints/several/sft_clean/model" / name).read_bytes() == expected
    two, one = (read_metrics(folder / "metrics.jsonl") for folder in (checkout / RUN, checkout / "alone"))
    assert repeatable(two) == repeatable(one)
    assert json.loads((checkout / RUN / "manifest.json").read_text())["world_size"] == 2


SCRIPT = """\
import os, sys, time
sys.path.insert(0, os.environ["CODE"])
from winnow.training.process import prepare_process
prepare_process()
machine = os.environ["SLURMD_NODENAME"]
with open(f"{machine}.tmp", "w") as file:
    file.write(str(os.getppid()))
os.rename(f"{machine}.tmp", machine)
time.sleep(300)
"""


def test_a_dead_launcher_ends_the_run_on_all_machines(cluster, tmp_path: Path) -> None:
    """And a process that it leaves behind ends too, though SLURM's linuxproc does not find it."""
    (tmp_path / "script.py").write_text(SCRIPT)
    code = workflow.ROOT / "workflow_scripts"
    launch = f"{sys.executable} {code}/launch.py --processes 2 --nodes 2 script.py"
    asked = ["--parsable", "--nodes=2", "--ntasks=2", "--mem=500", "--partition=cpu", "--output=log", f"-D{tmp_path}"]
    # As the executor's job step does: what srun would read from the job's environment is taken away.
    clean = "unset SLURM_NODEID SLURM_NTASKS SLURM_NPROCS SLURM_NNODES; "
    job = cluster.run("sbatch", *asked, f"--export=ALL,CODE={code}", f"--wrap={clean}{launch}; echo status $?")
    wait_for("both began", lambda: all((tmp_path / name).exists() for name in cluster.node_names), seconds=90)
    os.kill(int((tmp_path / "node2").read_text()), 9)
    began = time.monotonic()
    wait_for("the job ended", lambda: not cluster.run("squeue", "-h", "-j", job), seconds=60)
    assert time.monotonic() - began < 55
    log = (tmp_path / "log").read_text()
    assert "node2: task 1: Killed" in log
    assert "status 1" in log
    assert "status 0" not in log
