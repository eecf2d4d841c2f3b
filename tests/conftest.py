"""Fixtures that several rooms of the tests share."""

import shutil
from pathlib import Path

import pytest

import workflow
from winnow.core.locks import held


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh checkout without results."""
    return workflow.copy_checkout(tmp_path / "checkout")


@pytest.fixture(scope="session")
def finished_demo(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A checkout in which the demo study has run to its report. Tests must not change it: copy it first.

    It is run once, whichever of several test workers asks first.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    finished = shared / "demo" / "checkout"
    done = shared / "demo" / "done"
    with held(shared / "demo.lock"):
        if not done.exists():
            workflow.run(workflow.copy_checkout(finished))
            done.touch()
    return finished


@pytest.fixture
def demo(finished_demo: Path, tmp_path: Path) -> Path:
    """A copy of the finished demo that a test may change. Being a copy, it is also a moved checkout."""
    return Path(shutil.copytree(finished_demo, tmp_path / "moved", symlinks=True))
