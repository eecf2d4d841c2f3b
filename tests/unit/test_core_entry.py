"""The check that every script makes of its Python: Snakemake itself goes on with the host's, and says nothing."""

import subprocess
import sys

import pytest

from winnow.core import entry
from winnow.core.errors import OTHER_PYTHON, WinnowError
from workflow import ROOT

SCRIPTS = sorted((ROOT / "workflow_scripts").glob("*.py"))


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """A Python that has no packages."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin/python"


def said(python, *arguments, **environment):
    done = subprocess.run([python, *arguments], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode != 0
    return done.stderr


@pytest.fixture
def installed(monkeypatch):
    """The versions that the check finds, which a test may change: at first the pins of data."""
    versions = entry.pins("data")
    monkeypatch.setattr(entry, "version", lambda name: versions[name])
    return versions


def test_the_pinned_versions_pass(installed):
    entry.check_environment("data")


def test_a_local_build_of_the_pinned_version_passes(installed):
    installed["numpy"] += "+cpu"
    entry.check_environment("data")


def test_other_versions_are_all_named(installed):
    installed |= {"duckdb": "1.0.0", "numpy": "1.26.4"}
    with pytest.raises(WinnowError, match=r"(?s)duckdb is 1\.0\.0, wanted .*numpy is 1\.26\.4, wanted ") as refused:
        entry.check_environment("data")
    assert sys.executable in str(refused.value)
    assert "envs/data.yaml" in str(refused.value)
    assert OTHER_PYTHON in str(refused.value)


def test_a_missing_package_is_named(monkeypatch, installed):
    def version(name):
        if name == "rapidfuzz":
            raise entry.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(entry, "version", version)
    with pytest.raises(WinnowError, match="rapidfuzz is missing, wanted"):
        entry.check_environment("data")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.stem)
def test_a_python_without_packages_is_refused_without_a_traceback(bare_python, script):
    message = said(bare_python, script)
    assert message.startswith(f"error: {bare_python}: No module named")
    assert message.endswith(f"fix: {OTHER_PYTHON}\n")
    assert "Traceback" not in message


def test_a_damaged_package_keeps_its_traceback(tmp_path):
    (tmp_path / "pydantic.py").write_text("raise ImportError('libparts.so is missing', name='pydantic')\n")
    message = said(sys.executable, ROOT / "workflow_scripts/ingest.py", PYTHONPATH=str(tmp_path))
    assert "Traceback" in message
    assert f"error: {sys.executable}: libparts.so is missing" in message
    assert OTHER_PYTHON in message


def test_a_defect_of_our_own_imports_is_shown_as_one(tmp_path):
    copy = tmp_path / "workflow_scripts"
    (copy / "winnow/core").mkdir(parents=True)
    for name in ("winnow/__init__.py", "winnow/core/__init__.py", "winnow/core/errors.py"):
        (copy / name).write_text((ROOT / "workflow_scripts" / name).read_text())
    (copy / "script.py").write_text("from winnow.core import nothing_like_this\n")
    message = said(sys.executable, copy / "script.py")
    assert "Traceback" in message
    assert "fix:" not in message


def test_only_scripts_explain_failed_imports():
    code = "import sys, winnow; assert sys.excepthook is sys.__excepthook__"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT / "workflow_scripts")
