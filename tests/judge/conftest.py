"""A real vLLM engine on a CPU, and a tiny model for it: random, but not alike to all that it reads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from winnow.core.ids import canonical_json
from winnow.core.locks import held
from workflow import ROOT

TINY = {
    "vocab_size": 2048,
    "hidden_size": 128,
    "heads": 2,
    "kv_heads": 1,
    "intermediate_size": 256,
    "words": ["yes", "no"],
    "initializer_range": 0.3,
}


@pytest.fixture(scope="session")
def judge_environment() -> Path:
    """The environment with vLLM for a CPU, which `make test` makes; in CI its absence is a failure, not a skip."""
    environment = ROOT / ".venv-judge"
    if not (environment / "installed").exists():
        assert not os.environ.get("CI"), f"{environment.name} was not made"
        pytest.skip(f"there is no {environment.name}: `make judge` makes it")
    return environment


@pytest.fixture(scope="session")
def judged_corpus(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The demo's corpus: prompts.parquet and responses.parquet of 20 papers, whichever worker asks first."""
    return _made_once(tmp_path_factory, worker_id, "corpus", _ingest)


@pytest.fixture(scope="session")
def tiny_judge_model(tmp_path_factory: pytest.TempPathFactory, worker_id: str, judged_corpus: Path) -> Path:
    """A folder with a tiny Qwen2 checkpoint and its tokenizer, as prepare_model makes it."""
    return _made_once(tmp_path_factory, worker_id, "model", lambda folder: _prepare(folder, judged_corpus))


def _made_once(factory, worker_id, name, make):
    base = factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    folder = shared / "judge" / name
    with held(shared / f"judge-{name}.lock"):
        if not (folder / "manifest.json").exists():
            make(folder)
    return folder


def _script(name, *arguments):
    subprocess.run([sys.executable, f"workflow_scripts/{name}.py", *map(str, arguments)], cwd=ROOT, check=True)


def _ingest(folder):
    spec = {"adapter": "demo", "papers": 20, "reviews_per_paper": 4, "seed": 3}
    tables = [
        argument
        for table in ("prompts", "responses", "rejected")
        for argument in (f"--{table}", folder / f"{table}.parquet")
    ]
    manifest = folder / "manifest.json"
    _script("ingest", "--corpus", "papers", "--spec", canonical_json(spec), *tables, "--manifest", manifest)


def _prepare(folder, corpus):
    texts = [corpus / "prompts.parquet", corpus / "responses.parquet"]
    spec = canonical_json({"tiny": TINY})
    _script("prepare_model", "--spec", spec, "--texts", *texts, "--out", folder, "--manifest", folder / "manifest.json")
