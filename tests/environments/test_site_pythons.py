"""A Python that a site provides: config.yaml names a small program that loads modules, or enters a container.

The modules are real (environment-modules); of a container only the shape is tried: a program that stands for Python.
"""

import os
import sys
from pathlib import Path

import pytest
from proofs import plant, proof

import workflow

MODULES = Path("/usr/share/modules/init/bash")
SPLITS = "results/demo/corpus/papers/splits.parquet"
INGEST = "results/demo/corpus/papers/ingest.manifest.json"

# In CI they must be there, since .ci/run installs them: without them the tests fail.
pytestmark = pytest.mark.skipif(
    not MODULES.is_file() and not os.environ.get("CI"),
    reason=f"there are no environment modules here ({MODULES}; Debian: environment-modules)",
)


@pytest.fixture
def site(checkout, tmp_path):
    """A checkout whose data steps run in a Python that a site provides, and a module that exists."""
    modules = tmp_path / "modulefiles"
    modules.mkdir()
    (modules / "winnow").write_text("#%Module1.0\nsetenv WINNOW_SITE_MODULE loaded\n")
    plant(checkout)
    config = checkout / "config.yaml"
    text = config.read_text()
    assert "data: null" in text
    config.write_text(text.replace("data: null", f"data: {tmp_path}/site-python"))
    return checkout


def provide(tmp_path, module):
    """Write the program that docs/environments.md shows."""
    program = tmp_path / "site-python"
    program.write_text(
        f"#!/bin/bash\nset -e\nsource {MODULES}\nmodule use {tmp_path}/modulefiles\nmodule load {module}\n"
        f'exec {sys.executable} "$@"\n'
    )
    program.chmod(0o755)


def test_a_step_runs_in_the_python_of_a_loaded_module_and_another_program_reruns_nothing(site, tmp_path):
    provide(tmp_path, "winnow")
    workflow.run(site, SPLITS)
    for log in ("ingest/papers.log", "split/papers.log"):
        assert proof(site, log).module == "loaded"
        assert proof(site, log).prefix == Path(sys.prefix)
    config = site / "config.yaml"
    config.write_text(config.read_text().replace(f"{tmp_path}/site-python", "null"))
    assert workflow.plan(site, SPLITS) == []


def test_a_module_that_is_not_there_stops_the_step(site, tmp_path):
    provide(tmp_path, "no_such_module")
    done = workflow.snakemake(site, "--cores", "1", "--", INGEST, check=False)
    assert done.returncode != 0
    assert "no_such_module" in (site / "results/demo/logs/ingest/papers.log").read_text()
    assert not (site / INGEST).exists()
