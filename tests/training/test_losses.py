"""What weighs alike in a step of SFT: gradients of the real trainer, however a step is divided or packed."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from training import fixtures
from training.conftest import Study
from training.test_truths import build
from winnow.core.errors import WinnowError
from winnow.numerics.logprobs import get_response_log_probs
from winnow.training import setting
from winnow.training.data import check_nothing_lost
from winnow.training.fit import train
from winnow.training.packing import packed_rows
from winnow.training.sft import sft_trainer

MODES = ["per_token", "sequence", "token_global"]
ROWS = 13  # an effective batch of 8 leaves a window of 5 rows: for batches of 2 that is 2, 2 and 1
STILL = {  # every step begins with the same weights, and gradients are as the loss makes them
    "learning_rate": 0.0,
    "max_grad_norm": 0.0,
    "max_steps": 2,
    "effective_batch_size": 8,
    "eval_steps": 99,
    "save_steps": 99,
}


@pytest.fixture(scope="module")
def ragged(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The study with 13 rows for SFT whose responses have from 1 to 25 words."""
    rows = fixtures.write_rows(tmp_path_factory.mktemp("ragged"), "sft", train=ROWS, ragged=True)
    return replace(study, rows=study.rows | {"sft": rows})


class Gradients(TrainerCallback):
    """Keeps the gradient of every step, as one vector."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def on_pre_optimizer_step(self, *_: Any, model: Any = None, **__: Any) -> None:
        self.steps.append(torch.cat([p.grad.flatten().clone() for p in model.parameters() if p.grad is not None]))


def gradients(study: Study, folder: Path, pack_to: int | None = None, **recipe: Any) -> list[torch.Tensor]:
    seen = Gradients()
    run = fixtures.make_run("sft", **(STILL | recipe)).model_copy(update={"pack_to": pack_to})
    request = study.request(run, folder)
    train(request, lambda made, callbacks, watch: sft_trainer(made, [*callbacks, seen], watch))
    return seen.steps


def error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize(("mode", "adapter"), [*((mode, {}) for mode in MODES), ("per_token", fixtures.LORA)])
def test_gradients_do_not_depend_on_how_a_step_is_divided(
    ragged: Study, tmp_path: Path, mode: str, adapter: dict[str, Any]
) -> None:
    """Both windows, the whole one and the partial last one of an epoch."""
    recipe = adapter | {"loss_normalization": mode, "learning_rate": 0.0} | ({"lora_dropout": 0.0} if adapter else {})
    whole = gradients(ragged, tmp_path / "a", **recipe, per_device_train_batch_size=8)
    parts = gradients(ragged, tmp_path / "b", **recipe, per_device_train_batch_size=2)
    assert len(whole) == len(parts) == 2
    for one, other in zip(whole, parts, strict=True):
        assert error(other, one) < 1e-5
    assert error(whole[0], whole[1]) > 1e-2  # the windows themselves differ


def by_hand(study: Study, folder: Path, mode: str, constant: float = 1.0) -> torch.Tensor:
    """The gradient of all rows, from the formula and one row at a time."""
    _, trainer = build(study, "sft", folder)
    model, sums = trainer.model, []
    for row in trainer.train_dataset:
        ids, labels = torch.tensor([row["input_ids"]]), torch.tensor([row["labels"]])
        logps = get_response_log_probs(model, ids[:, :-1], ids[:, 1:])["log_probs"]
        sums.append((-logps[labels[:, 1:] != -100].sum(), int((labels[:, 1:] != -100).sum())))
    loss = {
        "per_token": sum(nats / tokens for nats, tokens in sums) / len(sums),
        "sequence": sum(nats for nats, _ in sums) / len(sums) / constant,
        "token_global": sum(nats for nats, _ in sums) / sum(tokens for _, tokens in sums),
    }[mode]
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_those_of_the_formula_packed_or_not(ragged: Study, tmp_path: Path, mode: str) -> None:
    """All rows in one step. Packed documents do not see each other, or they would have other gradients."""
    constant = 42.0 if mode == "sequence" else 1.0
    recipe = {"loss_normalization": mode, "normalize_constant": constant, "max_steps": 1}
    wanted = by_hand(ragged, tmp_path / "hand", mode, constant)
    (plain,) = gradients(ragged, tmp_path / "plain", **recipe, effective_batch_size=16)
    assert error(plain, wanted) < 1e-5
    for per_device in (1, 8):
        folder = tmp_path / f"packed{per_device}"
        (packed,) = gradients(
            ragged, folder, 200, **recipe, effective_batch_size=8, per_device_train_batch_size=per_device, packing=True
        )
        assert error(packed, wanted) < 1e-5
    others = [by_hand(ragged, tmp_path / other, other) for other in MODES if other != mode]
    assert min(error(other, wanted) for other in others) > 0.1  # the modes are three different things


def test_evaluation_uses_the_same_loss(ragged: Study, tmp_path: Path) -> None:
    """The mean over validation rows, although the last batch is smaller."""
    recipe = STILL | {"per_device_eval_batch_size": 2}
    found = {
        mode: ragged.train(fixtures.make_run("sft", **recipe, loss_normalization=mode), tmp_path / mode)
        for mode in ("per_token", "sequence")
    }
    _, trainer = build(ragged, "sft", tmp_path)
    sums = []
    for row in trainer.eval_dataset:
        ids, labels = torch.tensor([row["input_ids"]]), torch.tensor([row["labels"]])
        logps = get_response_log_probs(trainer.model, ids[:, :-1], ids[:, 1:])["log_probs"]
        sums.append((-logps[labels[:, 1:] != -100].sum().item(), int((labels[:, 1:] != -100).sum())))
    per_token = sum(nats / tokens for nats, tokens in sums) / len(sums)
    assert found["per_token"].series("loss", "eval") == pytest.approx([per_token] * 2, rel=1e-5)
    sequence = sum(nats for nats, _ in sums) / len(sums)
    assert found["sequence"].series("loss", "eval") == pytest.approx([sequence] * 2, rel=1e-5)


def packed_setting(study: Study, folder: Path, pack_to: int, **recipe: Any) -> tuple[Any, Any]:
    run = fixtures.make_run("sft", packing=True, **recipe).model_copy(update={"pack_to": pack_to})
    request = study.request(run, folder)
    from winnow.training.loading import weights_of
    from winnow.training.recipes import read_recipe
    from winnow.training.watch import Watch
    from winnow.training.world import World

    made = setting.gather(request, read_recipe(run), weights_of(request.model, None), folder, World())
    return made, sft_trainer(made, [], Watch(None, World()))


@pytest.mark.parametrize("masked", [True, False])
def test_loss_of_each_packed_document_is_that_of_its_row(ragged: Study, tmp_path: Path, masked: bool) -> None:
    """Documents do not leak into each other, and each is there, whole."""
    _, trainer = packed_setting(ragged, tmp_path, 200, completion_only_loss=masked)
    _, plain = build(ragged, "sft", tmp_path / "plain", completion_only_loss=masked)

    def nats(ids: list[int], labels: list[int]) -> tuple[int, float]:
        tokens, trained = torch.tensor([ids]), torch.tensor([labels])[:, 1:] != -100
        logps = get_response_log_probs(plain.model, tokens[:, :-1], tokens[:, 1:])["log_probs"]
        return len(ids), round(-logps[trained].sum().item(), 3)

    with torch.no_grad():
        wanted = sorted(nats(row["input_ids"], row["labels"]) for row in plain.train_dataset)
        found = []
        for batch in trainer.get_train_dataloader():
            output = trainer.model(**batch, use_cache=False, fused_lm_head=True)
            starts = batch["cu_seq_lens_q"].tolist()
            for start, end in itertools.pairwise(starts):
                # A position of the output speaks of the token after it; the first token of a document has no label.
                found.append((end - start, round(-output.log_probs[0, start : end - 1].sum().item(), 3)))
    assert len(trainer.train_dataset) < len(found) == ROWS
    assert [length for length, _ in sorted(found)] == [length for length, _ in wanted]
    assert [value for _, value in sorted(found)] == pytest.approx([value for _, value in wanted], abs=2e-3)
    assert max(len(row["input_ids"]) for row in trainer.train_dataset) <= 200
    assert "seq_lengths" not in trainer.eval_dataset.column_names


def test_packed_run_counts_its_steps_and_learns(ragged: Study, tmp_path: Path) -> None:
    run = fixtures.make_run("sft", packing=True, max_steps=-1, num_train_epochs=3, effective_batch_size=2)
    finished = ragged.train(run.model_copy(update={"pack_to": 200}), tmp_path)
    made, trainer = packed_setting(ragged, tmp_path / "again", 200)
    rows = len(trainer.train_dataset)
    assert packed_rows([length.longest for length in made.lengths[0]], 200) == rows < ROWS
    assert finished.manifest["steps"] == 3 * -(-rows // 2)
    assert finished.manifest["counts"]["rows"]["train"] == ROWS
    assert finished.series("num_tokens")[-1] == 3 * sum(length.longest for length in made.lengths[0])
    losses = finished.series("loss", "eval")
    assert losses[-1] < losses[0]


def test_a_packed_document_that_is_cut_or_lost_is_caught(ragged: Study, tmp_path: Path) -> None:
    made, trainer = packed_setting(ragged, tmp_path, 200)
    file, config, rows = ragged.rows["sft"][0], made.config, trainer.train_dataset

    def check(rows: Any, lengths: Any = None) -> None:
        check_nothing_lost(rows, made.lengths[0] if lengths is None else lengths, config, "sft", file)

    check(rows)
    with pytest.raises(WinnowError, match="packed rows are not its 13 rows"):
        check(rows.select(range(len(rows) - 1)))
    with pytest.raises(WinnowError, match="packed rows are not its 13 rows"):
        check(rows.map(lambda row: {"labels": [-100] * len(row["labels"])}))
    with pytest.raises(WinnowError, match=r"TRL packed a row of \d+ tokens from"):
        check(rows.map(lambda row: {"input_ids": row["input_ids"][:-1], "labels": row["labels"][:-1]}))


def test_a_row_that_does_not_fit_is_refused_before_it_is_cut(ragged: Study, tmp_path: Path) -> None:
    with pytest.raises(WinnowError, match=r"row \d+: has \d+ tokens, the limit is 60"):
        packed_setting(ragged, tmp_path, 60)


def test_trl_measures_what_the_core_measures(ragged: Study, tmp_path: Path) -> None:
    """TRL never makes the logits; what it gives trainers and watch is what the public functions give."""
    _, trainer = build(ragged, "sft", tmp_path)
    batch = next(iter(trainer.get_eval_dataloader()))
    with torch.no_grad():
        output = trainer.model(**batch, use_cache=False, fused_lm_head=True)
        ids, labels = batch["input_ids"], batch["labels"][:, 1:]
        found = get_response_log_probs(
            lambda tokens: trainer.model(tokens, attention_mask=batch["attention_mask"][:, :-1]),
            ids[:, :-1],
            ids[:, 1:],
            return_token_entropy=True,
        )
    mask = labels != -100
    assert torch.allclose(output.log_probs[mask], found["log_probs"][mask], atol=1e-5)
    assert torch.allclose(output.entropy[mask], found["token_entropy"][mask], atol=1e-5)
