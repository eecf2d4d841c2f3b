"""The log: a full disk costs lines of it, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from winnow.core import log

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
