"""What the fault tests do to a copy of the finished demo: shards to judge again, gates in scripts, full disks."""

import json
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.cluster import wait_for
from cluster.submitting import Job, jobs

SHARDS = [f"results/demo/judged/corpus-papers/{shard}-of-2.jsonl" for shard in (0, 1)]
RUN = "results/demo/runs/sft_clean"
MODEL = "checkpoints/demo/sft_clean/model/model.safetensors"
PATIENCE_S = 300
MEM_MB = 700
HOG_MB = 700

# Planted into a script: it says that it is there, and goes on when the test opens the gate.
GATE = """

def _stop_at_the_gate():
    import pathlib, time
    pathlib.Path("gate").mkdir(exist_ok=True)
    (pathlib.Path("gate") / "reached").touch()
    while not (pathlib.Path("gate") / "open").exists():
        time.sleep(0.2)
"""
HOG = f"""

def _stop_at_the_gate():
    import pathlib, time
    hog = bytearray(b"1") * ({HOG_MB} << 20)
    while not (pathlib.Path("gate") / "open").exists():
        time.sleep(0.2)
"""


@dataclass
class Calm:
    """What an undisturbed run made."""

    folder: Path
    copies: Path

    def copy(self, name: str) -> Path:
        return Path(shutil.copytree(self.folder, self.copies / name / "checkout", symlinks=True))

    def to_judge(self, name: str) -> Path:
        """Return a copy in which nothing of the corpus is judged."""
        checkout = self.copy(name)
        shutil.rmtree(checkout / "results/demo/judged/corpus-papers")
        shutil.rmtree(checkout / "cache/judge")
        return checkout

    def bytes_of(self, file: str) -> bytes:
        return (self.folder / file).read_bytes()


def edit(file: Path, old: str, new: str, more: str = "") -> None:
    text = file.read_text()
    assert text.count(old) == 1, f"{file} is not what this test knows: {old!r}"
    file.write_text(text.replace(old, new) + more)


def plant(checkout: Path, what: str = GATE) -> None:
    """Judge fifty texts at a time, and stop after those that were judged are kept; no identity depends on this file."""
    file = checkout / "workflow_scripts/winnow/scoring/judging.py"
    edit(file, "_chunks(rows, judge.chunk_texts)", "_chunks(rows, 50)")
    edit(file, "cache.add(new)", "cache.add(new); _stop_at_the_gate()", what)


def open_gate(checkout: Path) -> None:
    (checkout / "gate").mkdir(exist_ok=True)
    (checkout / "gate/open").touch()


def kept(checkout: Path, shard: int) -> Counter[str]:
    """Return how often each judgement of a shard stands in the cache, of whole chunks."""
    found: Counter[str] = Counter()
    for file in checkout.glob(f"cache/judge/*/corpus-papers-{shard}-of-2.jsonl"):
        lines = [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]
        last = max((number for number, line in enumerate(lines) if "committed" in line), default=0)
        found.update(line["key"] for line in lines[:last] if "key" in line)
    return found


def a_chunk_is_kept(checkout: Path, *shards: int) -> None:
    for shard in shards:
        wait_for(f"shard {shard} judges", lambda shard=shard: bool(kept(checkout, shard)), PATIENCE_S)


def ended_jobs(cluster, checkout: Path, count: int) -> list[Job]:
    """Return the jobs of a checkout, once accounting knows of so many and how each ended."""

    def known() -> bool:
        found = jobs(cluster, checkout)
        return len(found) == count and not {job.state for job in found} & {"PENDING", "RUNNING", "COMPLETING"}

    wait_for(f"{count} jobs of {checkout} are recorded", known, seconds=60)
    return jobs(cluster, checkout)


def log_of_shard(checkout: Path, shard: int) -> str:
    return (checkout / f"results/demo/logs/judge_responses/corpus-papers/{shard}-of-2.log").read_text()


def full_disk(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "winnow-test", folder], check=True)
    with (folder / "filling").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(b"x" * 4096)


def may_mount(folder: Path) -> bool:
    if subprocess.run(["mount", "-t", "tmpfs", "winnow-test", folder], check=False, capture_output=True).returncode:
        return False
    subprocess.run(["umount", folder], check=True)
    return True


def assert_judged(calm: Calm, checkout: Path, *shards: int) -> None:
    """Check that the rows are those of the calm run, and that no text was judged twice."""
    for shard in shards:
        assert (checkout / SHARDS[shard]).read_bytes() == calm.bytes_of(SHARDS[shard])
        assert kept(checkout, shard) == Counter(
            json.loads(line)["key"] for line in calm.bytes_of(SHARDS[shard]).splitlines()
        )
