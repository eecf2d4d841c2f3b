"""`snakemake --sdm conda`, for real but for conda itself, which a stand-in plays (conda_standin.py).

Snakemake makes the committed environments and runs rules in them. What each step says of itself is the proof: where
an environment is missing or broken, Snakemake goes on with the host's Python, and says nothing.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from channel_standin import SERIES
from conda_standin import install
from proofs import plant, proof

import workflow

pytestmark = [
    pytest.mark.skipif(
        f"python={SERIES}" not in (workflow.ROOT / "envs/data.yaml").read_text(),
        reason=f"the stand-in for conda-forge has the Python of these tests only, {SERIES}, and envs/ ask for another",
    ),
    # Whichever test comes first waits for two environments, made of some hundred packages.
    pytest.mark.timeout(1800),
]
CONDA = ("--sdm", "conda")
SPLITS = "results/demo/corpus/papers/splits.parquet"
MODEL = "results/demo/models/text/manifest.json"
LOGS = {"data": ("ingest/papers.log", "split/papers.log"), "train": ("prepare_model/text.log",)}
INGEST, SPLIT = "Reading the corpus papers of demo", "Splitting the prompts of papers of demo"
PREPARE = "Preparing the base model text of demo"


@pytest.fixture(scope="module")
def conda(tmp_path_factory):
    """The stand-in, first on PATH, and one place for the environments that it makes."""
    root = tmp_path_factory.mktemp("conda")
    # pip keeps what `make setup` fetched, although the workflow's tests put all other caches aside.
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{install(root)}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("PIP_CACHE_DIR", os.environ.get("PIP_CACHE_DIR", str(cache)))
        patch.setenv("PIP_NO_COMPILE", "1")  # most of what is installed is never imported here
        patch.setenv("SNAKEMAKE_CONDA_PREFIX", str(root / "environments"))
        # What `make setup` sets to build DeepSpeed must not be needed here: nobody sets it for --sdm conda.
        for name in ("DS_ACCELERATOR", "DS_BUILD_OPS", "PYTHONNOUSERSITE"):
            patch.delenv(name, raising=False)
        yield root


@pytest.fixture(scope="module")
def built(conda, tmp_path_factory):
    """A checkout in which Snakemake made two environments and ran three steps in them.

    Two of the four: one of few packages, and the one that has one to build. The others take minutes and show no more.
    """
    checkout = workflow.copy_checkout(tmp_path_factory.mktemp("built") / "checkout")
    plant(checkout)
    build(checkout, "--conda-create-envs-only", "--", SPLITS, MODEL)
    build(checkout, "--", SPLITS, MODEL)
    return checkout


@pytest.fixture
def moved(built, tmp_path):
    """A copy of that checkout in another place, which a test may change."""
    return Path(shutil.copytree(built, tmp_path / "moved", symlinks=True))


@pytest.fixture
def bare_host(tmp_path, monkeypatch):
    """A Python without packages, which is the host's: the one that is found where an environment gives none."""
    host = tmp_path / "host"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", host], check=True)
    first, _, rest = os.environ["PATH"].partition(os.pathsep)
    monkeypatch.setenv("PATH", os.pathsep.join([first, str(host / "bin"), rest]))
    return host / "bin/python"


def prefix_of(conda, kind):
    """The environment that was made from a committed file: Snakemake keeps a copy of the file beside it."""
    committed = (workflow.ROOT / "envs" / f"{kind}.yaml").read_text()
    copies = [file for file in (conda / "environments").glob("*.yaml") if file.read_text() == committed]
    assert len(copies) == 1
    return copies[0].with_suffix("")


def environments(conda):
    return sorted(folder.name for folder in (conda / "environments").iterdir() if folder.is_dir())


def build(checkout, *arguments):
    workflow.snakemake(checkout, *CONDA, "--cores", "2", *arguments)


def plan(checkout, *options):
    return sorted(job for job, _ in workflow.planned(checkout, *options, "--", SPLITS, MODEL))


def refusal(checkout, target, *options):
    """What a failing run says; it must name the Python and leave no output."""
    (checkout / target).unlink(missing_ok=True)
    done = workflow.snakemake(checkout, "--cores", "1", *options, "--", target, check=False)
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert not (checkout / target).exists()
    assert "or use --sdm conda" in said
    return said


@pytest.mark.parametrize("kind", LOGS)
def test_a_committed_file_makes_an_environment_that_has_its_pins(built, conda, kind):
    prefix = prefix_of(conda, kind)
    check = f"from winnow.core.entry import check_environment; check_environment({kind!r})"
    command = [prefix / "bin/python", "-c", f"import sys; {check}; print(sys.prefix)"]
    found = subprocess.check_output(command, cwd=built / "workflow_scripts", text=True)
    assert found.strip() == str(prefix)


@pytest.mark.parametrize("kind", LOGS)
def test_a_step_runs_inside_its_environment(built, conda, kind):
    for log in LOGS[kind]:
        found = proof(built, log)
        assert found.prefix == prefix_of(conda, kind)
        assert found.package.is_relative_to(found.prefix)


def test_the_proof_tells_the_host_from_an_environment(moved):
    workflow.snakemake(moved, "--cores", "2", "--forcerun", "split", "--", SPLITS)
    assert proof(moved, LOGS["data"][1]).prefix == Path(sys.prefix)


def test_switching_conda_or_a_comment_reruns_nothing(moved):
    assert plan(moved) == []
    for file in (moved / "envs").glob("*.yaml"):
        file.write_text(f"# A comment.\n{file.read_text()}")
    assert plan(moved, *CONDA) == []


def test_a_bumped_pin_reruns_what_it_touches(moved):
    train, data = moved / "envs/train.yaml", moved / "envs/data.yaml"
    train.write_text(re.sub(r"safetensors==\S+", "safetensors==9.9.9", train.read_text()))
    assert plan(moved, *CONDA) == [PREPARE]
    data.write_text(re.sub(r"openai==\S+", "openai==9.9.9", data.read_text()))
    assert plan(moved, *CONDA) == sorted([PREPARE, INGEST, SPLIT])


def test_a_moved_checkout_finds_its_environments_again(moved, conda):
    before = environments(conda)
    build(moved, "--forcerun", "split", "--", SPLITS)
    assert proof(moved, LOGS["data"][1]).prefix == prefix_of(conda, "data")
    assert environments(conda) == before


def test_environments_lie_among_the_users_caches_where_nobody_says_otherwise(moved, conda, monkeypatch):
    monkeypatch.delenv("SNAKEMAKE_CONDA_PREFIX")
    (moved / SPLITS).unlink()
    listed = workflow.snakemake(moved, *CONDA, "--list-conda-envs", "--", SPLITS).stdout
    # The tests' caches are in the checkout; a user's are at home.
    assert ".cache/winnow/conda/" in listed
    assert ".snakemake/conda" not in listed


def test_a_broken_environment_is_refused(moved, conda, bare_host):
    program = prefix_of(conda, "data") / "bin/python"
    program.rename(program.with_name("kept"))
    try:
        said = refusal(moved, SPLITS, *CONDA)
    finally:
        program.with_name("kept").rename(program)
    assert f"error: {bare_host}: No module named" in said


def test_a_pin_file_drops_the_packages_of_pip_and_is_refused(moved, conda, bare_host):
    urls = [file.resolve().as_uri() for file in sorted((conda / "conda-forge").glob("*/*.tar.bz2"))]
    assert len(urls) == 2
    (moved / "envs/data.linux-64.pin.txt").write_text("\n".join(["@EXPLICIT", *urls]) + "\n")
    said = refusal(moved, SPLITS, *CONDA)
    assert "error: " in said
    assert f"{conda}/environments/" in said.split("error: ", 1)[1].split(":", 1)[0]
    assert "No module named" in said


def test_a_host_without_the_packages_is_refused_without_conda(moved, bare_host):
    config = moved / "config.yaml"
    config.write_text(config.read_text().replace("data: null", f"data: {bare_host}"))
    assert f"error: {bare_host}: No module named" in refusal(moved, SPLITS)


def test_a_source_distribution_is_built_where_only_python_and_pip_are(conda, tmp_path):
    """DeepSpeed comes as source: without torch, a compiler's settings or a variable, its wheel is made."""
    bare = tmp_path / "bare.yaml"
    bare.write_text(f"channels: [conda-forge]\ndependencies:\n  - python={SERIES}\n  - pip\n")
    prefix = tmp_path / "prefix"
    subprocess.run(["conda", "env", "create", "--quiet", "--file", bare, "--prefix", prefix], check=True)
    packages = subprocess.check_output([prefix / "bin/python", "-m", "pip", "list", "--format=freeze"], text=True)
    assert [line.partition("==")[0] for line in packages.splitlines()] == ["pip"]
    pin = re.search(r"deepspeed==\S+", (workflow.ROOT / "envs/train.yaml").read_text())[0]
    command = [prefix / "bin/python", "-m", "pip", "wheel", "--no-deps", "--no-cache-dir", "--wheel-dir", tmp_path, pin]
    subprocess.run(command, check=True, cwd=tmp_path)
    assert len(list(tmp_path.glob("deepspeed-*.whl"))) == 1
