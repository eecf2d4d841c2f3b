"""Running the workflow in a copy of the checkout, and reading the list of jobs that it plans.

A copy, because code inputs are relative to the checkout and tests change files.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What a job does, and behind it in brackets what it asks for.
_MESSAGE = re.compile(r"^Job \d+: (.+?)(?: \[(.+)\])?$")


def copy_checkout(target: Path) -> Path:
    """Copy what a commit of the working tree would hold."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, copy = ROOT / name, target / name
        if source.is_file() or source.is_symlink():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)
    return target


def touch_raw_files(checkout: Path) -> None:
    """Make every raw file that any study names below data/, empty: enough for a plan. A folder has no ending."""
    for study in (checkout / "studies").glob("*.yaml"):
        for name in re.findall(r"\{data_root\}/([^\"']+)", study.read_text()):
            file = checkout / "data" / name
            if file.suffix:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
            else:
                file.mkdir(parents=True, exist_ok=True)
    for part in ("GEN", "HYP", "RQ"):  # of a folder whose files its adapter names
        (checkout / f"data/sarcasm_v2/{part}-sarc-notsarc.csv").touch()


def snakemake(checkout: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a checkout with the interpreter of these tests."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(checkout / ".cache")}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"snakemake {' '.join(arguments)} failed:\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}")
    return done


def run(checkout: Path, *targets: str, cores: int = 2, config: tuple[str, ...] = ()) -> None:
    """Build targets for real."""
    options = ["--config", *config] if config else []
    snakemake(checkout, "--cores", str(cores), "--quiet", "host", *options, "--", *targets)


def plan(checkout: Path, *targets: str, config: tuple[str, ...] = ()) -> list[str]:
    """Return the messages of the jobs that Snakemake would run, sorted."""
    options = ["--config", *config] if config else []
    return sorted(job for job, _ in planned(checkout, *options, "--", *targets))


def planned(checkout: Path, *arguments: str) -> list[tuple[str, str | None]]:
    """Return what a dry run says of each job: what it does, and what it asks for (None where it is not submitted)."""
    done = snakemake(checkout, "--dry-run", *arguments)
    lines = (done.stdout + done.stderr).splitlines()
    return [(match[1], match[2]) for line in lines if (match := _MESSAGE.match(line))]
