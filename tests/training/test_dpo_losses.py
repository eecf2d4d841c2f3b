"""The DPO losses that TRL has: each against its own formula, each trained for real; and reference log-probabilities."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from training import fixtures
from training.conftest import Finished, Study
from training.test_truths import build
from winnow.training.health import expected_first_loss
from winnow.training.metrics import repeatable

BETA, EPSILON, TAU = 0.3, 0.1, 0.05


def log_sigmoid(x: Tensor) -> Tensor:
    return -torch.log1p(torch.exp(-x))


def formulas(logps: list[Tensor], tokens: list[Tensor]) -> dict[str, Tensor]:
    """Every loss per pair, from the papers (DPO, IPO, EXO, NCA, robust DPO, BCO, SPPO, AOT, APO, DiscoPOP).

    Args:
        logps: of policy chosen, policy rejected, reference chosen, reference rejected.
        tokens: of chosen and of rejected responses.
    """
    up, down = logps[0] - logps[2], logps[1] - logps[3]
    h = BETA * (up - down)
    share = torch.sigmoid(h / TAU)

    def smoothed(margin: Tensor) -> Tensor:
        return -(1 - EPSILON) * log_sigmoid(BETA * margin) - EPSILON * log_sigmoid(-BETA * margin)

    def sorted_gap(first: Tensor, second: Tensor) -> Tensor:
        return first.sort().values - second.sort().values

    flipped = -(1 - EPSILON) * log_sigmoid(h) + EPSILON * log_sigmoid(-h)
    exo = [torch.sigmoid(x) * (log_sigmoid(x) - math.log(odds)) for x, odds in ((h, 1 - EPSILON), (-h, EPSILON))]
    return {
        "sigmoid": -log_sigmoid(h),
        "hinge": (1 - h).clamp(min=0),
        "ipo": (up / tokens[0] - down / tokens[1] - 1 / (2 * BETA)) ** 2,
        "exo_pair": exo[0] + exo[1],
        "nca_pair": -log_sigmoid(BETA * up) - 0.5 * log_sigmoid(-BETA * up) - 0.5 * log_sigmoid(-BETA * down),
        "robust": flipped / (1 - 2 * EPSILON),
        "bco_pair": -log_sigmoid(BETA * up) - log_sigmoid(-BETA * down),
        "sppo_hard": (up - 0.5 / BETA) ** 2 + (down + 0.5 / BETA) ** 2,
        "aot": smoothed(sorted_gap(logps[0] - logps[1], logps[2] - logps[3])),
        "aot_unpaired": smoothed(sorted_gap(up, down)),
        "apo_zero": 1 - torch.sigmoid(BETA * up) + torch.sigmoid(BETA * down),
        "apo_down": torch.sigmoid(BETA * up) + 1 - torch.sigmoid(h),
        "discopop": -log_sigmoid(h) * (1 - share) + torch.exp(-h) * share,
        "sft": -logps[0].sum() / tokens[0].sum(),
        "sigmoid_norm": -log_sigmoid(BETA * (up / tokens[0] - down / tokens[1])),
    }


TOGETHER = ["sigmoid", "sft"]
LOSSES = [
    *(["sigmoid"], ["hinge"], ["ipo"], ["exo_pair"], ["nca_pair"], ["robust"], ["bco_pair"], ["sppo_hard"], ["aot"]),
    *(["aot_unpaired"], ["apo_zero"], ["apo_down"], ["discopop"], ["sigmoid_norm"], TOGETHER),
]


def test_every_loss_is_its_formula(study: Study, tmp_path: Path) -> None:
    """On a policy that was moved at random from its reference, over a real batch, alone and with SFT beside it."""
    _, trainer = build(study, "dpo", tmp_path, beta=BETA, label_smoothing=EPSILON, per_device_train_batch_size=4)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in trainer.model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.02)
    batch = next(iter(trainer.get_train_dataloader()))
    mask = batch["completion_mask"][:, 1:].bool()
    sums = []
    with torch.no_grad():
        for model in (trainer.model, trainer.ref_model):
            logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1].double()
            each = logits.log_softmax(-1).gather(-1, batch["input_ids"][:, 1:, None])[..., 0]
            sums += list((each * mask).sum(1).chunk(2))
    tokens = [count.double() for count in mask.sum(1).chunk(2)]
    assert (sums[0] - sums[2] - sums[1] + sums[3]).abs().min() > 0.01
    values = {name: each.mean().item() for name, each in formulas(sums, tokens).items()}
    assert sorted(values) == sorted({name for loss in LOSSES for name in loss})
    assert len({round(value, 4) for value in values.values()}) == len(values)
    for name, value in values.items():
        trainer.loss_types, trainer.loss_weights = [name], [1.0]
        with torch.no_grad():
            assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(value, rel=1e-4), name
    trainer.loss_types, trainer.loss_weights = TOGETHER, [1.0, 0.5]
    with torch.no_grad():
        found = trainer.compute_loss(trainer.model, batch).item()
    assert found == pytest.approx(values["sigmoid"] + 0.5 * values["sft"], rel=1e-4)


@pytest.mark.parametrize("loss", LOSSES, ids="_".join)
def test_every_loss_takes_a_step_from_where_it_must_start(study: Study, tmp_path: Path, loss: list[str]) -> None:
    recipe = {"loss_type": loss, "label_smoothing": EPSILON, "max_steps": 1}
    run = study.train(fixtures.make_run("dpo", **recipe), tmp_path)
    expected = expected_first_loss(recipe)
    assert (expected is None) == (loss == TOGETHER)
    if expected is not None:
        assert run.manifest["first_loss"] == pytest.approx(expected, rel=1e-5)
    assert run.series("rewards/margins") == [0.0]
    assert study.parent is not None
    assert run.weights() != {file.name: file.read_bytes() for file in study.parent.glob("*.safetensors")}


ALONE = {"per_device_train_batch_size": 1, "per_device_eval_batch_size": 1}  # nothing is padded by another pair


@pytest.mark.parametrize("adapter", [{}, fixtures.LORA | {"lora_dropout": 0.0}], ids=["full", "lora"])
def test_a_precomputed_reference_changes_no_bit(study: Study, tmp_path: Path, adapter: dict[str, Any]) -> None:
    """Pairs that are padded alike in both: one by one."""
    usual = study.train(fixtures.make_run("dpo", **ALONE, **adapter), tmp_path / "usual")
    before = study.train(fixtures.make_run("dpo", **ALONE, **adapter, precompute_ref_log_probs=True), tmp_path / "pre")
    assert before.weights() == usual.weights()
    assert repeatable(before.rows) == repeatable(usual.rows)


def cached(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "cache").glob("*.parquet")}


def precomputed(study: Study, folder: Path, **recipe: Any) -> Finished:
    return study.train(fixtures.make_run("dpo", precompute_ref_log_probs=True, **recipe), folder)


def test_another_beta_reads_the_reference_that_is_known(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    precomputed(study, tmp_path)
    known = cached(tmp_path)
    assert len(known) == 2  # train and val
    assert "are known" not in capsys.readouterr().err
    other = precomputed(study, tmp_path, beta=0.5)
    assert capsys.readouterr().err.count("are known") == 2
    assert cached(tmp_path) == known
    alone = precomputed(study, tmp_path / "alone", beta=0.5)
    assert other.weights() == alone.weights()
    assert repeatable(other.rows) == repeatable(alone.rows)


def test_another_reference_is_another_name(study: Study, tmp_path: Path) -> None:
    """Data, model and what the numbers depend on: nothing stale is read."""
    precomputed(study, tmp_path, max_steps=1)
    names = set(cached(tmp_path))
    rows = fixtures.write_rows(tmp_path / "rows", "dpo", train=12)
    for changed, recipe in (
        (replace(study, parent=None), {}),
        (replace(study, rows=study.rows | {"dpo": rows}), {}),
        (study, {"per_device_train_batch_size": 4}),
        (study, {"train_rows": 8}),
    ):
        precomputed(changed, tmp_path, max_steps=1, **recipe)
        new = set(cached(tmp_path)) - names
        assert len(new) == 2, recipe
        names |= new


def test_a_cached_table_holds_what_the_reference_says(study: Study, tmp_path: Path) -> None:
    precomputed(study, tmp_path, max_steps=1)
    _, trainer = build(study, "dpo", tmp_path / "plain")
    wanted = []
    for row in trainer.train_dataset:
        with torch.no_grad():
            for side in ("chosen_ids", "rejected_ids"):
                ids = torch.tensor([row["prompt_ids"] + row[side]])
                logits = trainer.ref_model(ids).logits[0, :-1].log_softmax(-1)
                each = logits.gather(1, ids[0, 1:, None])[:, 0]
                wanted.append(each[-len(row[side]) :].sum().item())
    tables = [pq.read_table(file) for file in (tmp_path / "cache").glob("*.parquet")]
    (table,) = (table for table in tables if table.num_rows == len(trainer.train_dataset))
    found = [value for row in table.to_pylist() for value in (row["ref_chosen_logps"], row["ref_rejected_logps"])]
    assert found == pytest.approx(wanted, rel=1e-4)
    shutil.rmtree(tmp_path / "cache")
