"""One writer per run: a second one waits, then adopts what the first finished."""

import threading
from pathlib import Path
from typing import Any

import pytest

from training import fixtures
from training.conftest import Study
from winnow.core.locks import held
from winnow.training.fit import train


def never(*_: Any) -> Any:
    raise AssertionError("trained again")


def test_finished_work_is_adopted(study: Study, tmp_path: Path) -> None:
    """Threads, memory and time are not a part of what a run is."""
    run = fixtures.make_run("sft")
    first = study.train(run, tmp_path)
    manifest, metrics = first.request.manifest.read_bytes(), first.request.metrics.read_bytes()
    for file in (first.request.manifest, first.request.metrics, first.request.spec_out):
        file.unlink()
    train(study.request(run.model_copy(update={"threads": 7, "mem_mb": 5, "runtime": 9}), tmp_path), never)
    assert first.request.manifest.read_bytes() == manifest
    assert first.request.metrics.read_bytes() == metrics


def test_damaged_work_is_not_adopted(study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fixtures.make_run("sft")
    first = study.train(run, tmp_path)
    before = first.weights()
    (first.folder / "model.safetensors").write_bytes(b"broken")
    assert study.train(run, tmp_path).weights() == before
    assert "is not what this run made; training it again" in capsys.readouterr().err


def test_second_writer_waits_then_adopts(study: Study, tmp_path: Path) -> None:
    run = fixtures.make_run("sft")
    request = study.request(run, tmp_path)
    done = threading.Event()
    failed: list[BaseException] = []

    def second() -> None:
        try:
            train(request, never)
        except BaseException as error:  # noqa: BLE001 - shown below
            failed.append(error)
        done.set()

    with held(request.checkpoints / "writer.lock"):
        waiting = threading.Thread(target=second)
        waiting.start()
        assert not done.wait(1.5)
        # The first writer finishes meanwhile, elsewhere, and leaves its work here.
        elsewhere = study.train(run, tmp_path / "elsewhere")
        for path in elsewhere.request.checkpoints.iterdir():
            path.rename(request.checkpoints / path.name)
    assert done.wait(30)
    waiting.join()
    assert failed == []
    assert request.manifest.is_file()
