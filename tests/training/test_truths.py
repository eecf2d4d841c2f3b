"""What must hold of every training: losses, labels, reference, KL, and settings that must not matter."""

import contextlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from training import fixtures
from training.breaking import BUILD
from training.conftest import KINDS, Finished, Study, run_of
from winnow.core.errors import WinnowError
from winnow.training import dpo, setting
from winnow.training.callbacks import Recorder
from winnow.training.loading import check_reference, load_model, weights_of
from winnow.training.recipes import read_recipe
from winnow.training.setting import Setting, gather
from winnow.training.watch import Watch
from winnow.training.world import World

Unbroken = Callable[[str], Finished]
StudyOf = Callable[[str], Study]
DPO_KINDS = [kind for kind in KINDS if "dpo" in kind]


def build(study: Study, kind: str, folder: Path, **recipe: Any) -> tuple[Setting, Any]:
    run = run_of(kind, **recipe)
    request = study.request(run, folder)
    source = weights_of(request.model, request.parent)
    with contextlib.chdir(study.root):
        made = gather(request, read_recipe(run), source, folder, World())
        return made, BUILD[run.stage](made, [], Watch(0.1 if run.stage == "dpo" else None, World()))


@pytest.mark.parametrize("kind", DPO_KINDS)
def test_first_dpo_loss_is_ln_2(unbroken: Unbroken, kind: str) -> None:
    run = unbroken(kind)
    assert run.manifest["first_loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert run.series("loss", "eval")[0] == pytest.approx(math.log(2), abs=1e-5)
    assert run.series("reward_ratio")[0] == 1.0
    assert run.series("loss")[-1] < math.log(2)


@pytest.mark.parametrize("kind", DPO_KINDS)
def test_kl_is_zero_before_the_first_step_and_not_after(unbroken: Unbroken, kind: str) -> None:
    run = unbroken(kind)
    for name in ("kl_tok", "kl_seq", "kl_k3"):
        first, *later = run.series(name, "eval")
        assert first == 0.0
        assert len(later) == 2
        assert all(value != 0 for value in later)
    assert all(value > 0 for value in run.series("kl_tok", "eval")[1:])
    assert all(value > 0 for value in run.series("kl_k3", "eval")[1:])


@pytest.mark.parametrize("kind", DPO_KINDS)
def test_measurements_agree_with_trl(unbroken: Unbroken, kind: str) -> None:
    """The watch counts apart from TRL: the reward ratio follows from its margin, entropy is of responses.

    Only steps are compared: over a last, smaller validation batch TRL takes the mean of means.
    """
    for row in (row for row in unbroken(kind).rows if row["kind"] == "train"):
        assert row["reward_ratio"] == pytest.approx(math.exp(row["rewards/margins"]), rel=1e-4)
        assert row["response_entropy"] == pytest.approx(row["entropy"], rel=1e-3)


def test_sft_learns(unbroken: Unbroken) -> None:
    for kind in ("sft", "sft_lora", "vision_sft", "vision_sft_lora"):
        losses = unbroken(kind).series("loss", "eval")
        assert losses[-1] < losses[0]


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_step_has_one_line(unbroken: Unbroken, kind: str) -> None:
    run = unbroken(kind)
    assert [row["step"] for row in run.rows if row["kind"] == "train"] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in run.rows if row["kind"] == "eval"] == [0, 3, 6]
    assert all(value > 0 for value in run.series("tokens_per_second") + run.series("peak_memory_mb"))


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_finished_model_is_whole(unbroken: Unbroken, study_of: StudyOf, kind: str) -> None:
    """It has the base's tokenizer byte for byte, its cache switched on, no pickle, and no path of this machine."""
    study = study_of(kind)
    folder = unbroken(kind).folder
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (folder / name).read_bytes() == (study.model / name).read_bytes()
    if "lora" not in kind:
        assert '"use_cache": true' in (folder / "config.json").read_text()
    assert not [file for file in folder.iterdir() if file.suffix in (".bin", ".pt", ".pth")]
    for file in folder.rglob("*.json"):
        assert str(study.model.parent.parent) not in file.read_text(), file
    run = unbroken(kind)
    assert not list(run.request.checkpoints.glob("*/checkpoint-*"))
    assert not list(run.request.checkpoints.glob("*/datasets"))


@pytest.mark.parametrize("kind", ["sft", "sft_lora"])
def test_only_response_tokens_have_labels(study: Study, tmp_path: Path, kind: str) -> None:
    made, trainer = build(study, kind, tmp_path)
    batch = next(iter(trainer.get_eval_dataloader()))
    for ids, labels, row in zip(batch["input_ids"], batch["labels"], made.val, strict=False):
        text = made.tokenizer.decode(ids[labels != -100])
        assert text == row["completion"][0]["content"] + "<|im_end|>\n"
        before = made.tokenizer.decode(ids[: int((labels != -100).nonzero()[0])])
        assert before.endswith("<|im_start|>assistant\n")


def test_prompt_is_trained_too_where_the_recipe_says_so(study: Study, tmp_path: Path) -> None:
    made, trainer = build(study, "sft", tmp_path, completion_only_loss=False)
    batch = next(iter(trainer.get_eval_dataloader()))
    ids, labels = batch["input_ids"][0], batch["labels"][0]
    assert (labels != -100).sum() == made.lengths[1][0].longest
    assert torch.equal(labels[labels != -100], ids[labels != -100])


@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_rows_that_trl_would_cut_are_caught(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """A silent fault of TRL: a max_length below a row's length silently removes its answer."""
    real = setting.trainer_config

    def cutting(*args: Any, **kwargs: Any) -> Any:
        config = real(*args, **kwargs)
        config.max_length = 60
        return config

    monkeypatch.setattr(setting, "trainer_config", cutting)
    with pytest.raises(WinnowError, match=r"row \d+: TRL would train on|TRL kept"):
        build(study, stage, tmp_path)


def test_rows_that_trl_would_drop_are_caught(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DPO drops rows whose prompt alone fills max_length."""
    real = setting.trainer_config

    def dropping(*args: Any, **kwargs: Any) -> Any:
        config = real(*args, **kwargs)
        config.max_length = 8
        return config

    monkeypatch.setattr(setting, "trainer_config", dropping)
    with pytest.raises((WinnowError, ValueError, StopIteration), match=r"has \d+ rows, TRL kept 0 of them"):
        build(study, "dpo", tmp_path)


def test_row_longer_than_the_model_is_refused(study: Study, tmp_path: Path) -> None:
    made, _ = build(study, "sft", tmp_path)
    with pytest.raises(WinnowError, match=r"train.parquet, row \d+: has \d+ tokens, the limit is 70"):
        setting.check_fits(made.lengths[0], 70, study.rows["sft"][0])


def test_wrong_reference_is_caught_by_its_weights(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent fault of TRL: the reference is the base model instead of the SFT model."""
    base = weights_of(study.model, None)
    monkeypatch.setattr(Setting, "load_again", lambda _: load_model(base, dtype="float32", attention=None))
    with pytest.raises(WinnowError, match="the reference model: differs from the policy"):
        study.train(fixtures.make_run("dpo"), tmp_path)


def test_wrong_reference_is_caught_by_its_loss(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same fault, were the weights not compared."""
    base = weights_of(study.model, None)
    monkeypatch.setattr(Setting, "load_again", lambda _: load_model(base, dtype="float32", attention=None))
    monkeypatch.setattr(dpo, "check_reference", lambda *_: None)
    with pytest.raises(WinnowError, match=r"step 1: the DPO loss is .* it must be 0.693147"):
        study.train(fixtures.make_run("dpo"), tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_policy_and_reference_may_not_both_be_the_wrong_model(study: Study) -> None:
    """A first loss of ln 2 does not show this one."""
    base = [load_model(weights_of(study.model, None), dtype="float32", attention=None) for _ in range(2)]
    check_reference(base[0], base[1], study.model, World())
    with pytest.raises(WinnowError, match=r"are not what .*model\.safetensors holds"):
        check_reference(base[0], base[1], study.parent, World())


def test_reference_of_an_adapter_is_the_parent(study: Study, tmp_path: Path) -> None:
    """With its adapter off, the trained policy answers as the parent's model on disk does, to the bit."""
    made, trainer = build(study, "dpo_lora", tmp_path)
    assert trainer.ref_model is None
    trainer.args.eval_strategy = "no"
    trainer.train()
    parent = made.load_again()
    ids = torch.tensor([made.val[0]["prompt"] and list(range(40))])
    with torch.no_grad():
        with trainer.model.disable_adapter():
            without = trainer.model(input_ids=ids).logits
        assert torch.equal(without, parent(input_ids=ids).logits)
        assert not torch.equal(without, trainer.model(input_ids=ids).logits)


@pytest.mark.parametrize("kind", ["sft", "dpo", "vision_sft"])
def test_batch_and_accumulation_give_the_same_curve(study_of: StudyOf, tmp_path: Path, kind: str) -> None:
    study, curves = study_of(kind), []
    for per_device in (4, 1):
        run = run_of(kind, per_device_train_batch_size=per_device, max_steps=4)
        curves.append(study.train(run, tmp_path / str(per_device)).series("loss"))
    # The last step of an epoch has 2 rows instead of 4, which both divide alike.
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)


def test_a_loss_that_is_not_a_number_stops_the_run(study: Study, tmp_path: Path) -> None:
    with pytest.raises(WinnowError, match=r"step \d+: (loss|grad_norm) is (nan|inf) at learning rate .*before: "):
        study.train(fixtures.make_run("sft", learning_rate=1.0e38, max_grad_norm=0.0), tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_an_exploding_training_stops(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that grow a hundredfold in one step stand for a learning rate that is too high."""
    real = Recorder.on_log

    def then_grow(self: Recorder, args: Any, state: Any, control: Any, model: Any, **others: Any) -> None:
        real(self, args, state, control, model=model, **others)
        if state.global_step == 12:
            with torch.no_grad():
                model.lm_head.weight.mul_(100.0)

    monkeypatch.setattr(Recorder, "on_log", then_grow)
    with pytest.raises(WinnowError, match=r"step 15: the training has exploded: loss is step 13: .* at learning rate"):
        study.train(fixtures.make_run("sft", max_steps=16, learning_rate=1.0e-5, save_steps=8), tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_a_kl_that_never_moves_fails_the_run(study: Study, tmp_path: Path) -> None:
    """A learning rate of 0 stands for a probe that does not see the policy."""
    with pytest.raises(WinnowError, match="kl_tok: is 0 at every one of 3 measurements"):
        study.train(fixtures.make_run("dpo", learning_rate=0.0), tmp_path)


def test_precomputed_reference_gives_the_same_curve(study: Study, tmp_path: Path, unbroken: Unbroken) -> None:
    """To rounding: pairs are padded in other company when they are computed beforehand."""
    run, usual = study.train(fixtures.make_run("dpo", precompute_ref_log_probs=True), tmp_path), unbroken("dpo")
    assert run.series("loss") == pytest.approx(usual.series("loss"), abs=1e-5)
    name = "delta_logp_chosen_per_token"
    assert run.series(name) == pytest.approx(usual.series(name), abs=1e-5)
