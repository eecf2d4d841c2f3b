"""A merged adapter answers as base and adapter do, and the next run starts from it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from training import fixtures
from training.conftest import Finished, Study
from winnow.core.errors import WinnowError
from winnow.training.loading import load_model, weights_of
from winnow.training.merge import merge_adapter

Unbroken = Callable[[str], Finished]


@pytest.mark.parametrize("kind", ["sft_lora", "dpo_lora", "vision_sft_lora", "vision_dpo_lora"])
def test_merged_model_answers_as_the_adapter_does(
    study_of: Callable[[str], Study], unbroken: Unbroken, kind: str
) -> None:
    study = study_of(kind)
    run = unbroken(kind)
    parent = run.request.parent
    facts = merge_adapter(run.manifest, model=study.model, parent=parent, checkpoints=run.request.checkpoints)
    base = load_model(weights_of(study.model, parent), dtype="float32", attention=None)
    merged = load_model(weights_of(study.model, run.request.checkpoints / "model"), dtype="float32", attention=None)
    ids = torch.tensor([[5, 9, 100, 250, 30, 7]])
    with torch.no_grad():
        alone = base(input_ids=ids).logits
        tuned = PeftModel.from_pretrained(base, str(run.folder)).eval()(input_ids=ids).logits
        joined = merged(input_ids=ids).logits
    assert torch.allclose(joined, tuned, atol=1e-5)
    assert not torch.allclose(joined, alone, atol=1e-3)
    assert facts["layers"] == ["q_proj", "v_proj"]


def test_dpo_starts_from_a_merged_parent(study: Study, unbroken: Unbroken, tmp_path: Path) -> None:
    run = unbroken("sft_lora")
    with pytest.raises(WinnowError, match="give its model/ folder"):
        replace(study, parent=run.folder).train(fixtures.make_run("dpo"), tmp_path)
    merge_adapter(run.manifest, model=study.model, parent=None, checkpoints=run.request.checkpoints)
    child = replace(study, parent=run.request.checkpoints / "model")
    assert child.train(fixtures.make_run("dpo"), tmp_path).manifest["first_loss"] == pytest.approx(0.693147, abs=1e-5)


def test_another_adapter_is_refused(study: Study, unbroken: Unbroken) -> None:
    run = unbroken("sft_lora")
    manifest = run.manifest | {"weights": {"adapter_model.safetensors": "0" * 64}}
    with pytest.raises(WinnowError, match="is not the adapter that the run's manifest recorded"):
        merge_adapter(manifest, model=study.model, parent=None, checkpoints=run.request.checkpoints)


def test_a_parent_whose_weights_were_replaced_is_refused(study: Study, tmp_path: Path) -> None:
    import shutil

    assert study.parent is not None
    parent = Path(shutil.copytree(study.parent, tmp_path / "parent"))
    shutil.copyfile(study.model / "model.safetensors", parent / "model.safetensors")
    with pytest.raises(WinnowError, match="does not hold the weights that its run made"):
        replace(study, parent=parent).train(fixtures.make_run("dpo"), tmp_path / "run")
