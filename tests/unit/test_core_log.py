"""The log: a full disk costs lines of it, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from winnow.core import log
from winnow.core.log import Progress, is_progress

SCRIPT = """
import resource, sys
from pathlib import Path
from winnow.core.log import log, outlive_a_full_disk
outlive_a_full_disk()
log("first")
resource.setrlimit(resource.RLIMIT_FSIZE, (Path("log").stat().st_size + 10, resource.RLIM_INFINITY))
log("second")
print("third")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log("fourth")
"""


def run(script: str, tmp_path: Path, output: Path) -> int:
    environment = os.environ | {"PYTHONPATH": str(Path(log.__file__).parents[2])}
    with output.open("a") as stream:
        command = [sys.executable, "-c", script]
        return subprocess.run(
            command, stdout=stream, stderr=stream, env=environment, cwd=tmp_path, check=False
        ).returncode


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_log_on_a_full_disk_fails_no_step(tmp_path):
    work = "from pathlib import Path\nlog('before')\nprint('also')\nPath('result').write_text('right')\nlog('after')\n"
    imports = "from winnow.core.log import log, outlive_a_full_disk\n"
    assert run(imports + work, tmp_path, Path("/dev/full")) != 0  # what it is for
    assert not (tmp_path / "result").exists()
    assert run(imports + "outlive_a_full_disk()\n" + work, tmp_path, Path("/dev/full")) == 0
    assert (tmp_path / "result").read_text() == "right"


def test_a_line_says_where_lines_are_missing(tmp_path):
    assert run(SCRIPT, tmp_path, tmp_path / "log") == 0
    said = (tmp_path / "log").read_text()
    assert "first\n" in said
    assert "third" not in said
    assert said.index("lines are missing here: the disk was full") < said.index("fourth")


def test_an_error_that_no_full_disk_explains_is_raised(tmp_path):
    script = (
        "import os\nfrom winnow.core.log import log, outlive_a_full_disk\noutlive_a_full_disk()\nos.close(2)\nlog('')\n"
    )
    assert run(script, tmp_path, tmp_path / "log") != 0


@pytest.fixture
def clock(monkeypatch):
    """Seconds since the start, which a test sets."""
    now = [0.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    return now


def told(capsys):
    return [line.split("] ", 1)[1] for line in capsys.readouterr().err.splitlines()]


def test_progress_tells_pace_and_time_left_and_at_the_end_the_time_taken(clock, capsys):
    progress = Progress("rows", 1000)
    for clock[0] in (5.0, 10.0, 15.0, 20.0):
        progress.step(50)
    clock[0] = 300.0
    progress.step(800)
    assert told(capsys) == [
        "rows: 100 of 1,000 (10.0/s, 90 s left)",
        "rows: 200 of 1,000 (10.0/s, 80 s left)",
        "rows: 1,000 of 1,000 in 5.0 min",
    ]


def test_what_was_done_before_tells_nothing_about_the_pace(clock, capsys):
    progress = Progress("steps", 60, done=20)
    clock[0] = 1000.0
    progress.step(10)
    assert told(capsys) == ["steps: 30 of 60 (0.010/s, 50 min left)"]


@pytest.mark.parametrize("total", [None, 100_000])
def test_a_day_of_work_does_not_flood_its_log(clock, capsys, total):
    progress = Progress("rows", total)
    for clock[0] in range(1, 86_401):
        progress.step()
    lines = told(capsys)
    assert lines[0].startswith("rows: 10 ")
    assert 250 < len(lines) < 400


def test_lines_of_progress_are_known_as_such(clock, capsys):
    counted, endless = Progress("prompts: all, of 3 kinds", 20_000), Progress("responses")
    for clock[0] in (20.0, 7000.0):
        counted.step(10_000)
        endless.step(10_000)
    lines = told(capsys)
    assert len(lines) == 4
    assert all(is_progress(line) for line in lines)
    assert not any(is_progress(line) for line in ("473 score rows, 0.00% of answers missing", "step 8: loss 0.1 (a)"))


def test_what_progress_is_made_over_stays_as_it_is(clock, capsys):
    assert list(Progress("letters", 3).over("abc")) == ["a", "b", "c"]
    assert told(capsys) == ["letters: 3 of 3 in 0 s"]
