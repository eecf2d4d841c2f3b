"""Nothing that lies in a folder of a model runs when the folder is loaded, whoever loads it."""

import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from planted import PLANTED, pickled, torch_saved
from training import fixtures
from training.conftest import Finished, Study, identity_folder
from training.test_resume import interrupted, resume
from winnow.core.errors import WinnowError
from winnow.core.files import read_json, write_json
from winnow.core.ids import sha256_file
from winnow.datasets.render import load_tokenizer
from winnow.models.inference import load_model
from winnow.training.checkpoints import MARKER, checkpoints_in
from winnow.training.loading import weights_of
from winnow.training.merge import merge_adapter


@pytest.mark.parametrize("what", PLANTED)
@pytest.mark.parametrize("where", ["base", "parent", "weights elsewhere"])
def test_a_run_starts_from_no_such_folder(study: Study, tmp_path: Path, where: str, what: str) -> None:
    plant, message = PLANTED[what]
    model = Path(shutil.copytree(study.model, tmp_path / "model"))
    other = Path(shutil.copytree(study.parent or study.model, tmp_path / "other"))
    if where == "weights elsewhere":
        write_json(model / "model.json", {"kind": "path", "source": str(other), "revision": None})
    plant(model if where == "base" else other, tmp_path / "ran")
    with pytest.raises(WinnowError, match=message):
        weights_of(model, other if where == "parent" else None)
    assert not (tmp_path / "ran").exists()


def test_what_is_not_planted_passes(study: Study) -> None:
    weights_of(study.model, study.parent)


@pytest.mark.parametrize(
    "what", ["weights as a pickle", "a module", "auto_map of the tokenizer", "a kernel of the hub"]
)
def test_training_evaluation_and_rendering_refuse_it_too(study: Study, tmp_path: Path, what: str) -> None:
    plant, message = PLANTED[what]
    model = Path(shutil.copytree(study.model, tmp_path / "model"))
    plant(model, tmp_path / "ran")
    for load in (
        lambda: load_tokenizer(model),
        lambda: load_model(model, None, "cpu"),
        lambda: load_model(study.model, model, "cpu"),
        lambda: replace(study, model=model).train(fixtures.make_run("sft"), tmp_path / "run"),
    ):
        with pytest.raises(WinnowError, match=message):
            load()
    assert not (tmp_path / "ran").exists()


def test_an_adapter_with_a_pickle_is_not_merged(
    study: Study, unbroken: Callable[[str], Finished], tmp_path: Path
) -> None:
    run = unbroken("sft_lora")
    copy = Path(shutil.copytree(run.request.checkpoints, tmp_path / "checkpoints"))
    (copy / "adapter" / "adapter_model.bin").write_bytes(pickled(tmp_path / "ran"))
    with pytest.raises(WinnowError, match=r"adapter_model\.bin: is a pickle"):
        merge_adapter(run.manifest, model=study.model, parent=None, checkpoints=copy)
    assert not (tmp_path / "ran").exists()


def test_the_canary_would_show(tmp_path: Path) -> None:
    """Or the tests here would pass whatever happens."""
    pickle.loads(pickled(tmp_path / "first"))
    torch_saved(tmp_path / "file.pt", tmp_path / "second")
    torch.load(tmp_path / "file.pt", weights_only=False)
    assert (tmp_path / "first").is_dir()
    assert (tmp_path / "second").is_dir()


@pytest.mark.parametrize("name", ["optimizer.pt", "rng_state.pth", "training_args.bin"])
def test_a_changed_pickle_of_our_own_is_never_read(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Checkpoints hold pickles that torch wrote; their hashes are compared before any is opened."""
    interrupted(study, "sft", tmp_path, 5)
    newest = checkpoints_in(identity_folder(tmp_path))[0]
    torch_saved(newest / name, tmp_path / "ran")
    resume(study, "sft", tmp_path)
    assert f"{newest} cannot be used, {name} is not what was saved" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


def test_a_pickle_beside_those_of_a_checkpoint_is_never_read(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trainer would prefer some of these names to the weights that were saved."""
    interrupted(study, "sft", tmp_path, 5)
    newest = checkpoints_in(identity_folder(tmp_path))[0]
    torch_saved(newest / "pytorch_model.bin", tmp_path / "ran")
    resume(study, "sft", tmp_path)
    assert f"{newest} cannot be used, pytorch_model.bin is not what was saved" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["optimizer.pt", "rng_state.pth", "scheduler.pt"])
def test_a_pickle_with_a_forged_hash_does_not_run(study: Study, tmp_path: Path, name: str) -> None:
    """Whoever may write the marker can forge it; then torch's own guard (weights_only) is left, and it holds."""
    interrupted(study, "sft", tmp_path, 5)
    newest = checkpoints_in(identity_folder(tmp_path))[0]
    torch_saved(newest / name, tmp_path / "ran")
    marker = read_json(newest / MARKER)
    marker["files"][name] = sha256_file(newest / name)
    write_json(newest / MARKER, marker)
    with pytest.raises(pickle.UnpicklingError, match=r"Weights only load failed"):
        resume(study, "sft", tmp_path)
    assert not (tmp_path / "ran").exists()
