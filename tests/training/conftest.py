"""Two small studies for all tests of trainers, of text and of images: tiny models, rows, parents, unbroken runs."""

import contextlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from training import fixtures, images, labelled
from winnow.core.config.runs import ResolvedRun
from winnow.training.process import prepare_process

prepare_process()  # before anything imports the training libraries, hence E402

from training.breaking import BUILD  # noqa: E402
from winnow.training.arguments import Request  # noqa: E402
from winnow.training.determinism import prepare_torch  # noqa: E402
from winnow.training.fit import train  # noqa: E402
from winnow.training.metrics import Row, read_metrics  # noqa: E402

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
    labels: Mapping[str, Path] = field(default_factory=dict)  # for runs that score labels

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
            labels=self.labels if run.answers else {},
        )

    def train(self, run: ResolvedRun, folder: Path) -> "Finished":
        """Train in this process."""
        request = self.request(run, folder)
        with contextlib.chdir(self.root):
            train(request, BUILD[run.stage])
        return Finished(request)

    def start(
        self, run: ResolvedRun, folder: Path, faults: str = "none", node: tuple[int, str] = (0, "")
    ) -> "subprocess.Popen[str]":
        """Start the training script as the workflow does, with faults planted in it (worker.py).

        `node` is the number of a machine and the HOST:PORT where all meet.
        """
        request = self.request(run, folder)
        folder.mkdir(parents=True, exist_ok=True)
        arguments = [
            *("--spec", json.dumps(run.model_dump(mode="json"))),
            *("--train", str(request.train), "--val", str(request.val), "--model", str(request.model)),
            *(("--parent", str(request.parent)) if request.parent else ()),
            *(("--labels", *(f"{name}={file}" for name, file in request.labels.items())) if request.labels else ()),
            *("--checkpoints", str(request.checkpoints), "--manifest", str(request.manifest)),
            *("--metrics", str(request.metrics), "--spec-out", str(request.spec_out), "--trackers", ""),
        ]
        launcher = [str(fixtures.SCRIPTS / "launch.py"), "--processes", str(run.processes)] if run.is_launched else []
        launcher += ["--nodes", str(run.nodes), "--node", str(node[0]), "--meet", node[1]] if run.nodes > 1 else []
        worker = [str(Path(__file__).with_name("worker.py")), faults, str(request.script)]
        return subprocess.Popen(
            [sys.executable, *launcher, *worker, *arguments],
            stderr=(folder / "log").open("a" if node[0] else "w"),
            text=True,
            cwd=self.root,
            env=os.environ | {"OMP_NUM_THREADS": "2"},  # must not matter
        )

    def finish(self, run: ResolvedRun, folder: Path, faults: str = "none") -> "Finished":
        """Run the training script to its end."""
        status = self.start(run, folder, faults).wait(timeout=300)
        assert status == 0, (folder / "log").read_text()
        return Finished(self.request(run, folder))


Task = tuple[Study, ResolvedRun, Path, int | None]


def batch(folder: Path, tasks: Sequence[Task], *faults: str) -> list[str]:
    """Train runs of equal processes one after the other (batch.py), and return what came of each.

    Args:
        folder: for the log.
        tasks: study, run, the run's folder, and the step to break it off at.
        faults: `fsdp_on_cpu` or nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "tasks.json"
    lines = [
        {"request": pickle.dumps(study.request(run, where)).hex(), "root": str(study.root), "cut": cut}
        for study, run, where, cut in tasks
    ]
    file.write_text(json.dumps(lines))
    launcher = [str(fixtures.SCRIPTS / "launch.py"), "--processes", str(tasks[0][1].processes)]
    command = [sys.executable, *launcher, str(Path(__file__).with_name("batch.py")), str(file), *faults]
    with (folder / "log").open("w") as log:
        done = subprocess.run(command, stderr=log, check=False, timeout=600)
    assert done.returncode == 0, (folder / "log").read_text()
    return [json.loads(line) for line in file.with_suffix(".out").read_text().splitlines()]


def identity_folder(folder: Path) -> Path:
    """Return the folder with the checkpoints of the one run that works in `folder`."""
    (found,) = (path for path in (folder / "checkpoints").iterdir() if path.is_dir() and len(path.name) == 16)
    return found


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
def even_study(study: Study) -> Study:
    """The study with rows that two processes can share evenly: 16 to train on, 4 to measure on."""
    rows = {stage: fixtures.write_rows(study.root / "even" / stage, stage, 16, 4) for stage in ("sft", "dpo")}
    posts = labelled.write_posts(study.root / "even" / "posts", "val", 9, 3)
    return replace(study, rows=rows, labels={"posts": posts})


@pytest.fixture(scope="session")
def even_vision(vision: Study) -> Study:
    """The study of images with rows that two processes can share evenly."""
    rows = {stage: images.write_rows(vision.root, stage, 16, 4, table="even") for stage in ("sft", "dpo")}
    return replace(vision, rows=rows)


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
