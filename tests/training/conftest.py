"""Two small studies for all tests of trainers, of text and of images: tiny models, rows, parents, unbroken runs."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from training import fixtures, images
from winnow.core.config.runs import ResolvedRun
from winnow.training.process import prepare_process

prepare_process()  # before anything imports the training libraries

from winnow.training.arguments import Request  # noqa: E402
from winnow.training.determinism import prepare_torch  # noqa: E402
from winnow.training.dpo import dpo_trainer  # noqa: E402
from winnow.training.fit import train  # noqa: E402
from winnow.training.metrics import Row, read_metrics  # noqa: E402
from winnow.training.sft import sft_trainer  # noqa: E402

BUILD = {"sft": sft_trainer, "dpo": dpo_trainer}
KINDS = {  # name → stage and changes of the recipe; those of vision show images
    "sft": ("sft", {}),
    "sft_lora": ("sft", fixtures.LORA),
    "dpo": ("dpo", {}),
    "dpo_lora": ("dpo", fixtures.LORA | {"lora_dropout": 0.0}),
    "vision_sft": ("sft", {}),
    "vision_sft_lora": ("sft", fixtures.LORA),
    "vision_dpo": ("dpo", {}),
    "vision_dpo_lora": ("dpo", fixtures.LORA | {"lora_dropout": 0.0}),
}
TEXT_KINDS = [kind for kind in KINDS if not kind.startswith("vision")]
VISION_KINDS = [kind for kind in KINDS if kind.startswith("vision")]


def run_of(kind: str, **recipe: Any) -> ResolvedRun:
    """Return the run of a kind; keyword arguments change its recipe."""
    stage, changes = KINDS[kind]
    make = images.make_run if kind in VISION_KINDS else fixtures.make_run
    return make(stage, **(changes | recipe))


@dataclass(frozen=True)
class Study:
    """Inputs that all runs share; tests only read them."""

    root: Path  # the working directory of its runs, where the image cache lies
    model: Path
    rows: dict[str, tuple[Path, Path]]
    texts: list[Path]
    parent: Path | None = None

    def request(self, run: ResolvedRun, folder: Path) -> Request:
        """Return the request of a run that works in `folder`. DPO starts from the finished SFT run."""
        train_file, val_file = self.rows[run.stage]
        return Request(
            run=run,
            train=train_file,
            val=val_file,
            model=self.model,
            parent=self.parent if run.stage == "dpo" else None,
            checkpoints=folder / "checkpoints",
            spec_out=folder / "spec.json",
            metrics=folder / "metrics.jsonl",
            manifest=folder / "manifest.json",
            trackers=(),
            script=fixtures.SCRIPTS / f"train_{run.stage}.py",
            reference_cache=folder / "cache",
        )

    def train(self, run: ResolvedRun, folder: Path) -> "Finished":
        """Train in this process."""
        request = self.request(run, folder)
        with contextlib.chdir(self.root):
            train(request, BUILD[run.stage])
        return Finished(request)

    def start(self, run: ResolvedRun, folder: Path, sent: int) -> "subprocess.Popen[str]":
        """Start the training script as the workflow does, in a process that sends itself a signal (killed.py)."""
        request = self.request(run, folder)
        folder.mkdir(parents=True, exist_ok=True)
        arguments = [
            *("--spec", json.dumps(run.model_dump(mode="json"))),
            *("--train", str(request.train), "--val", str(request.val), "--model", str(request.model)),
            *(("--parent", str(request.parent)) if request.parent else ()),
            *("--checkpoints", str(request.checkpoints), "--manifest", str(request.manifest)),
            *("--metrics", str(request.metrics), "--spec-out", str(request.spec_out), "--trackers", ""),
        ]
        return subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name("killed.py")),
                str(request.script),
                str(int(sent)),
                *arguments,
            ],
            stderr=(folder / "log").open("w"),
            text=True,
            cwd=self.root,
            env=os.environ | {"OMP_NUM_THREADS": "2"},  # must not matter
        )


@dataclass(frozen=True)
class Finished:
    """What a run left."""

    request: Request

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads(self.request.manifest.read_text())

    @property
    def rows(self) -> list[Row]:
        return read_metrics(self.request.metrics)

    def series(self, name: str, kind: str = "train") -> list[float]:
        return [row[name] for row in self.rows if row["kind"] == kind and name in row]

    @property
    def folder(self) -> Path:
        return self.request.checkpoints / ("adapter" if self.request.run.is_adapter else "model")

    def weights(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in sorted(self.folder.glob("*.safetensors"))}


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The study of text."""
    prepare_torch(0)
    root = tmp_path_factory.mktemp("study")
    texts = fixtures.write_texts(root / "corpus")
    rows = {stage: fixtures.write_rows(root / stage, stage) for stage in ("sft", "dpo")}
    bare = Study(root, fixtures.make_model(root / "models" / "text", texts), rows, texts)
    parent = bare.train(fixtures.make_run("sft"), root / "parent")
    return replace(bare, parent=parent.folder)


@pytest.fixture(scope="session")
def vision(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The study of images."""
    prepare_torch(0)
    root = tmp_path_factory.mktemp("vision")
    texts = fixtures.write_texts(root / "corpus")
    rows = {stage: images.write_rows(root, stage) for stage in ("sft", "dpo")}
    bare = Study(root, images.make_model(root / "models" / "vision", texts), rows, texts)
    parent = bare.train(images.make_run("sft"), root / "parent")
    return replace(bare, parent=parent.folder)


@pytest.fixture(scope="session")
def study_of(request: pytest.FixtureRequest) -> Callable[[str], Study]:
    """Return a function that gives the study of a kind."""
    return lambda kind: request.getfixturevalue("vision" if kind in VISION_KINDS else "study")


@pytest.fixture(scope="session")
def unbroken(study_of: Callable[[str], Study], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Finished]:
    """Return a function that gives the finished, never interrupted run of a kind, trained once."""
    made: dict[str, Finished] = {}

    def get(kind: str) -> Finished:
        if kind not in made:
            made[kind] = study_of(kind).train(run_of(kind), tmp_path_factory.mktemp(kind))
        return made[kind]

    return get
