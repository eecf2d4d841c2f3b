"""A run that is killed and started again ends with the bits of one that never was."""

import contextlib
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training import fixtures
from training.breaking import BUILD, CutAt, PowerCutError
from training.conftest import KINDS, TEXT_KINDS, Finished, Study, identity_folder, run_of
from winnow.core.errors import WinnowError
from winnow.training.checkpoints import MARKER, checkpoints_in, step_of
from winnow.training.fit import STOPPED, train
from winnow.training.metrics import read_metrics, repeatable
from winnow.training.starts import STARTS

Unbroken = Callable[[str], Finished]
StudyOf = Callable[[str], Study]


def interrupted(study: Study, kind: str, folder: Path, step: int, event: str = "on_step_begin") -> None:
    """Train until `step` steps are done, then break off."""
    run = run_of(kind)
    request = study.request(run, folder)
    build = BUILD[run.stage]
    with pytest.raises(PowerCutError), contextlib.chdir(study.root):
        train(request, lambda setting, callbacks, watch: build(setting, [*callbacks, CutAt(step, event)], watch))
    assert not request.manifest.exists()


def assert_equal(run: Finished, unbroken: Finished) -> None:
    """Everything but the machine's speed is equal: weights, metrics, manifest."""
    assert run.weights() == unbroken.weights()
    assert repeatable(run.rows) == repeatable(unbroken.rows)
    assert run.request.manifest.read_bytes() == unbroken.request.manifest.read_bytes()


def resume(study: Study, kind: str, folder: Path) -> Finished:
    return study.train(run_of(kind), folder)


@pytest.mark.parametrize("step", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["sft_lora", "dpo"])
def test_broken_off_at_any_step(study: Study, unbroken: Unbroken, tmp_path: Path, kind: str, step: int) -> None:
    """SFT of an adapter has dropout, so its random numbers must be restored too; the epoch ends at step 4."""
    interrupted(study, kind, tmp_path, step)
    assert_equal(resume(study, kind, tmp_path), unbroken(kind))


@pytest.mark.parametrize("event", ["on_save", "on_evaluate", "on_log", "on_pre_optimizer_step", "on_train_end"])
def test_broken_off_at_any_point(study: Study, unbroken: Unbroken, tmp_path: Path, event: str) -> None:
    interrupted(study, "dpo", tmp_path, {"on_save": 4, "on_evaluate": 3, "on_train_end": 6}.get(event, 3), event)
    assert_equal(resume(study, "dpo", tmp_path), unbroken("dpo"))


def test_broken_off_twice(study: Study, unbroken: Unbroken, tmp_path: Path) -> None:
    interrupted(study, "dpo_lora", tmp_path, 3)
    interrupted(study, "dpo_lora", tmp_path, 5)
    assert_equal(resume(study, "dpo_lora", tmp_path), unbroken("dpo_lora"))


# {text, vision} x {sft, dpo} x {full, LoRA} on one process: every row is killed, some are asked to stop.
ROWS = [(signal.SIGKILL, kind) for kind in KINDS] + [(signal.SIGTERM, kind) for kind in (*TEXT_KINDS, "vision_dpo")]


@pytest.mark.parametrize(("sent", "kind"), ROWS, ids=[f"{sent.name}-{kind}" for sent, kind in ROWS])
def test_killed_process(study_of: StudyOf, unbroken: Unbroken, tmp_path: Path, kind: str, sent: signal.Signals) -> None:
    """The real script, killed at a random moment after its second step; the retry is the same command."""
    study = study_of(kind)
    process = study.start(run_of(kind), tmp_path, sent.name)
    status = process.wait(timeout=120)
    assert status == {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: STOPPED}[sent], (tmp_path / "log").read_text()
    assert not (tmp_path / "manifest.json").exists()
    if sent == signal.SIGTERM:
        assert (checkpoints_in(identity_folder(tmp_path))[0] / MARKER).is_file()
    assert_equal(resume(study, kind, tmp_path), unbroken(kind))
    lines = read_metrics(tmp_path / "checkpoints" / STARTS)
    first, again = (line["from_step"] for line in lines if line["event"] == "start")
    assert again >= first == 0
    ends = [line["outcome"] for line in lines if line["event"] == "end"]
    assert ends == {signal.SIGKILL: ["finished"], signal.SIGTERM: ["stopped", "finished"]}[sent]


@pytest.mark.parametrize("damage", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "model.safetensors", MARKER])
def test_incomplete_checkpoint_is_passed_over(
    study: Study, unbroken: Unbroken, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    """A silent fault of Trainer: without optimizer.pt Trainer would resume with a fresh optimiser and say nothing."""
    interrupted(study, "dpo", tmp_path, 5)
    newest, before = checkpoints_in(identity_folder(tmp_path))
    assert (step_of(newest), step_of(before)) == (4, 2)
    (newest / damage).unlink()
    run = resume(study, "dpo", tmp_path)
    said = capsys.readouterr().err
    assert "checkpoint-4 cannot be used" in said
    assert "on from step 2 of 6" in said
    assert_equal(run, unbroken("dpo"))


@pytest.mark.parametrize("how", ["truncated", "flipped"])
def test_corrupt_checkpoint_is_passed_over(study: Study, unbroken: Unbroken, tmp_path: Path, how: str) -> None:
    interrupted(study, "sft", tmp_path, 5)
    newest = checkpoints_in(identity_folder(tmp_path))[0] / "optimizer.pt"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content if how == "flipped" else content[: len(content) // 2])
    assert_equal(resume(study, "sft", tmp_path), unbroken("sft"))


def test_without_any_complete_checkpoint_it_starts_over(study: Study, unbroken: Unbroken, tmp_path: Path) -> None:
    interrupted(study, "sft", tmp_path, 5)
    for checkpoint in checkpoints_in(identity_folder(tmp_path)):
        (checkpoint / "optimizer.pt").unlink()
    assert_equal(resume(study, "sft", tmp_path), unbroken("sft"))


def test_a_checkpoint_that_trainer_would_not_load_stops_the_run(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights under other names are skipped by Trainer with a warning only (huggingface/transformers#43701)."""
    from safetensors.torch import load_file, save_file

    from winnow.training import checkpoints

    interrupted(study, "sft", tmp_path, 3)
    (checkpoint,) = checkpoints_in(identity_folder(tmp_path))
    weights = load_file(checkpoint / "model.safetensors")
    renamed = {name.replace("model.layers", "old.layers"): tensor for name, tensor in weights.items()}
    save_file(renamed, checkpoint / "model.safetensors", metadata={"format": "pt"})
    checkpoints.mark_complete(checkpoint, 1, "ddp")  # whole by its hashes, of no use by its names
    with pytest.raises(WinnowError, match=r"do not fit its config\.json"):
        resume(study, "sft", tmp_path)


def test_full_disk_leaves_the_last_good_checkpoint(
    study: Study, unbroken: Unbroken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What PyTorch raises when a disk is full is no OSError; the script's user is told all the same."""
    from winnow.training.trainers import WatchedSFTTrainer

    real = WatchedSFTTrainer._save_optimizer_and_scheduler

    def full(self: Any, output_dir: str) -> None:
        if self.state.global_step == 4:
            raise RuntimeError("[enforce fail at inline_container.cc:672] . No space left on device")
        real(self, output_dir)

    with monkeypatch.context() as patch:
        patch.setattr(WatchedSFTTrainer, "_save_optimizer_and_scheduler", full)
        with pytest.raises(OSError, match="No space left") as caught:
            resume(study, "sft", tmp_path)
    assert caught.value.errno == 28
    assert_equal(resume(study, "sft", tmp_path), unbroken("sft"))


def test_another_number_of_processes_is_refused(study: Study, tmp_path: Path) -> None:
    from winnow.training import checkpoints

    interrupted(study, "sft", tmp_path, 3)
    (checkpoint,) = checkpoints_in(identity_folder(tmp_path))
    for rank in range(2):
        (checkpoint / f"rng_state_{rank}.pth").write_bytes(b"")
    checkpoints.mark_complete(checkpoint, 2, "ddp")
    with pytest.raises(WinnowError, match="was saved by 2 processes, this run has 1"):
        resume(study, "sft", tmp_path)


def test_other_settings_start_afresh(study: Study, tmp_path: Path, unbroken: Unbroken) -> None:
    """A changed recipe is another identity: nothing stale is resumed, and the old model gives way."""
    first = resume(study, "sft", tmp_path)
    before = first.weights()
    run = fixtures.make_run("sft", learning_rate=2.0e-3)
    second = study.train(run, tmp_path)
    assert second.weights() != before
    assert second.manifest["run"]["identity"] != unbroken("sft").manifest["run"]["identity"]
    alone = study.train(run, tmp_path / "alone")
    assert second.weights() == alone.weights()
    shutil.rmtree(tmp_path)
