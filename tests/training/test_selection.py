"""Real trainings that end early or keep their best step, broken off or not."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from training import fixtures, images
from training.breaking import BUILD, CutAt, PowerCutError
from training.conftest import Finished, Study, identity_folder
from training.test_resume import assert_equal
from winnow.core.config.runs import ResolvedRun
from winnow.core.errors import WinnowError
from winnow.models.weights import load_model
from winnow.training.arguments import Request
from winnow.training.checkpoints import checkpoints_in, step_of
from winnow.training.fit import train
from winnow.training.loading import weights_of

# The learning rate is so high that validation loss falls at first and then goes up and down.
TURNS: dict[str, Any] = {
    "learning_rate": 5.0e-2,
    "lr_scheduler_type": "constant",
    "max_steps": 12,
    "eval_steps": 2,
    "save_steps": 5,
    "save_total_limit": 1,
}
STOPS = {"early_stopping": {"metric": "loss", "patience": 2, "min_delta": 0.5}}
BEST = {"select": "best"}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "sft_stops_with_its_best": ("sft", TURNS | STOPS | BEST),
    "sft_lora_best": ("sft", TURNS | fixtures.LORA | BEST | {"best_by": {"metric": "loss", "mode": "max"}}),
    "dpo_stops_by_accuracy": (
        "dpo",
        TURNS
        | {"early_stopping": {"metric": "rewards/accuracies", "mode": "max", "patience": 3, "min_delta": 0.01}}
        | BEST,
    ),
}
Unbroken = Callable[[str], tuple[Finished, dict[int, dict[str, torch.Tensor]]]]


def run_of(kind: str) -> ResolvedRun:
    stage, recipe = KINDS[kind]
    return fixtures.make_run(stage, **recipe)


class Weights(TrainerCallback):
    """Keeps the weights of every measured step."""

    def __init__(self) -> None:
        self.steps: dict[int, dict[str, torch.Tensor]] = {}

    def on_evaluate(self, _args: Any, state: Any, _control: Any, model: Any = None, **_: Any) -> None:
        self.steps[state.global_step] = {
            name: tensor.detach().clone() for name, tensor in model.named_parameters() if tensor.requires_grad
        }


@pytest.fixture(scope="module")
def unbroken(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    made: dict[str, tuple[Finished, dict[int, dict[str, torch.Tensor]]]] = {}

    def get(kind: str) -> tuple[Finished, dict[int, dict[str, torch.Tensor]]]:
        if kind not in made:
            run, weights = run_of(kind), Weights()
            request = study.request(run, tmp_path_factory.mktemp(kind))
            train(request, lambda setting, callbacks, watch: BUILD[run.stage](setting, [*callbacks, weights], watch))
            made[kind] = Finished(request), weights.steps
        return made[kind]

    return get


def losses(run: Finished) -> dict[int, float]:
    return {row["step"]: row["loss"] for row in run.rows if row["kind"] == "eval" and row["step"]}


def test_it_stops_after_its_patience(unbroken: Unbroken) -> None:
    """After two measurements in a row that are not 0.5 better than the best; which is the best is another matter."""
    run, _ = unbroken("sft_stops_with_its_best")
    measured = losses(run)
    assert list(measured) == [2, 4, 6]
    assert min(measured[4], measured[6]) >= measured[2] - 0.5
    assert (run.manifest["steps"], run.manifest["planned_steps"], run.manifest["stopped_early"]) == (6, 12, True)
    assert run.manifest["selected_step"] == min(measured, key=lambda step: measured[step])


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_finished_model_is_that_of_the_best_step(unbroken: Unbroken, kind: str) -> None:
    run, seen = unbroken(kind)
    best = run.manifest["selected_step"]
    assert best < run.manifest["steps"]  # or the test shows nothing
    (file,) = run.folder.glob("*.safetensors")
    saved = {name.removeprefix("base_model.model."): tensor for name, tensor in load_file(file).items()}
    for name, tensor in seen[best].items():
        plain = name.removeprefix("base_model.model.").replace(".default", "")
        assert torch.equal(saved[plain], tensor), name
    assert any(not torch.equal(seen[best][name], seen[run.manifest["steps"]][name]) for name in seen[best])


def break_off(request: Request, cut: CutAt) -> None:
    build = BUILD[request.run.stage]
    with pytest.raises(PowerCutError):
        train(request, lambda made, calls, watch: build(made, [*calls, cut], watch))


@pytest.mark.parametrize("kind", list(KINDS))
def test_broken_off_it_decides_as_if_it_never_was(study: Study, unbroken: Unbroken, tmp_path: Path, kind: str) -> None:
    """Before the best step, between it and the end, right after the last measurement, and after all is trained."""
    whole, _ = unbroken(kind)
    best, last = whole.manifest["selected_step"], whole.manifest["steps"]
    run = run_of(kind)
    for step, event in [(best - 1, "on_step_begin"), (best + 1, "on_step_begin"), (last, "on_train_end")]:
        request = study.request(run, tmp_path / f"{step}{event}")
        break_off(request, CutAt(step, event))
        assert_equal(study.train(run, request.manifest.parent), whole)


def test_the_best_step_of_a_vision_model_is_loaded_whole(vision: Study, tmp_path: Path) -> None:
    """Its checkpoints have other names than its weights, of which Trainer would load none."""
    recipe = {"select": "best", "best_by": {"metric": "loss", "mode": "max"}, "eval_steps": 1, "max_steps": 3}
    run, weights = images.make_run("sft", **recipe), Weights()
    request = vision.request(run, tmp_path)
    with contextlib.chdir(vision.root):
        train(request, lambda setting, callbacks, watch: BUILD["sft"](setting, [*callbacks, weights], watch))
    finished = Finished(request)
    best = finished.manifest["selected_step"]
    assert best < finished.manifest["steps"] == 3
    saved = load_model(weights_of(vision.model, finished.folder), dtype="float32", attention=None).state_dict()
    assert len(weights.steps[best]) > 10
    assert all(torch.equal(saved[name], tensor) for name, tensor in weights.steps[best].items())
    assert any(not torch.equal(saved[name], tensor) for name, tensor in weights.steps[3].items())


def test_a_damaged_best_checkpoint_is_made_again(
    study: Study, unbroken: Unbroken, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It outlives the rotation, and when it is lost the run goes back to before it."""
    kind = "sft_lora_best"
    whole, _ = unbroken(kind)
    best, last = whole.manifest["selected_step"], whole.manifest["steps"]
    run = run_of(kind)
    request = study.request(run, tmp_path)
    with pytest.raises(PowerCutError):
        cut = CutAt(last, "on_train_end")
        train(request, lambda made, calls, watch: BUILD[run.stage](made, [*calls, cut], watch))
    kept = checkpoints_in(identity_folder(tmp_path))
    assert {step_of(checkpoint) for checkpoint in kept} == {best, last}  # save_total_limit is 1
    (identity_folder(tmp_path) / f"checkpoint-{best}" / "adapter_model.safetensors").write_bytes(b"torn")
    assert_equal(study.train(run, tmp_path), whole)
    assert f"the best checkpoint, of step {best}, cannot be used" in capsys.readouterr().err


def test_where_nothing_meets_the_guard_the_model_is_the_last_one_and_says_so(study: Study, tmp_path: Path) -> None:
    recipe = {"select": "best", "best_by": {"guard": {"metric": "mean_token_accuracy", "min": 1.1}}}
    run = study.train(fixtures.make_run("sft", **recipe), tmp_path)
    assert run.manifest["selected_step"] is None
    assert "outside_guard" in [alarm["name"] for alarm in run.manifest["alarms"]]
    assert run.manifest["weights"] == study.train(fixtures.make_run("sft"), tmp_path / "plain").manifest["weights"]


def test_a_metric_that_is_not_measured_is_refused_before_the_first_step(study: Study, tmp_path: Path) -> None:
    with pytest.raises(WinnowError, match=r"'f1' is not measured in this run.*\n?.*mean_token_accuracy"):
        study.train(fixtures.make_run("sft", early_stopping={"metric": "f1", "mode": "max"}), tmp_path)
    assert not list(identity_folder(tmp_path).glob("checkpoint-*"))


def test_a_subset_is_trained_and_counted(study: Study, tmp_path: Path) -> None:
    run = study.train(fixtures.make_run("dpo", train_rows=8, max_steps=-1, num_train_epochs=1), tmp_path)
    assert run.manifest["counts"]["rows"] == {"train": 8, "val": 5, "left_out_by_train_rows": 6}
    assert run.manifest["steps"] == 2
