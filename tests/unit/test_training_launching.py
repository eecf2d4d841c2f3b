"""The launcher: one exit status for all processes, nothing left running, and SIGTERM passed on."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from winnow.training.launching import exit_status
from workflow import ROOT

LAUNCH = ROOT / "workflow_scripts" / "launch.py"


def launched(script: str, folder: Path, processes: int = 2) -> "subprocess.Popen[str]":
    (folder / "script.py").write_text("import os, signal, sys, time\nrank = int(os.environ['RANK'])\n" + script)
    command = [sys.executable, LAUNCH, "--processes", str(processes), folder / "script.py", "an argument", "--flag"]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)


def test_arguments_and_numbers_reach_every_process(tmp_path: Path) -> None:
    script = "open(f'rank{rank}', 'w').write(' '.join([*sys.argv[1:], os.environ['WORLD_SIZE']]))"
    process = launched(script, tmp_path)
    assert process.wait(timeout=120) == 0, process.stderr
    assert [(tmp_path / f"rank{rank}").read_text() for rank in (0, 1)] == ["an argument --flag 2"] * 2


@pytest.mark.parametrize(("ends", "status"), [("sys.exit(2)", 2), ("os.kill(os.getpid(), signal.SIGKILL)", 137)])
def test_one_failure_ends_all_with_its_status(tmp_path: Path, ends: str, status: int) -> None:
    script = (
        "open(f'pid{rank}', 'w').write(str(os.getpid()))\n"
        f"if rank == 1:\n    time.sleep(1)\n    {ends}\n"
        "time.sleep(100)"
    )
    process = launched(script, tmp_path)
    assert process.wait(timeout=90) == status
    assert not Path(f"/proc/{(tmp_path / 'pid0').read_text()}").exists()


def test_sigterm_is_passed_on_and_waited_for(tmp_path: Path) -> None:
    """By itself torchrun kills after 30 s what still saves."""
    script = (
        "def save(*_):\n    time.sleep(1)\n    open(f'saved{rank}', 'w').close()\n    sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, save)\nopen(f'ready{rank}', 'w').close()\ntime.sleep(100)"
    )
    process = launched(script, tmp_path)
    while not all((tmp_path / f"ready{rank}").exists() for rank in (0, 1)):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=90) == 143
    assert all((tmp_path / f"saved{rank}").exists() for rank in (0, 1))


@pytest.mark.parametrize(
    ("statuses", "one"),
    [([1, 2], 2), ([-15, 1], 1), ([-15, 143], 143), ([-15], 143), ([1], 1), ([1, -9, -15], 137), ([1, 137], 137)],
)
def test_one_status_of_several(statuses: list[int], one: int) -> None:
    assert exit_status(statuses) == one


@pytest.mark.parametrize(
    "arguments",
    [
        "--processes 3 --nodes 2 --meet x:1 a",
        "--processes 2 --nodes 2 a",  # and no job of SLURM's
        "--processes 2 --nodes 2 --node 2 --meet x:1 a",
        "--processes 2 --nodes 2 --node 0 a",
        "--processes 2 --nodes 2 --meet x:1 a",
        "--processes 2",
        "--processes 2 --meet x:1 a",
        "--processes 0 a",
    ],
)
def test_arguments_that_cannot_be(arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    done = subprocess.run([sys.executable, LAUNCH, *arguments.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
