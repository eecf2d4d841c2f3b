"""A training's manifest names all that its weights follow from, by hash, and its identity is the hash of that."""

from collections.abc import Callable

import pytest

from training.conftest import Finished, Study
from winnow.core.code import import_closure
from winnow.core.entry import pins
from winnow.core.files import read_json
from winnow.core.ids import canonical_json, sha256_file, sha256_text
from winnow.training.loading import WEIGHTS_FILE


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_everything_that_went_in_is_named(study: Study, unbroken: Callable[[str], Finished], kind: str) -> None:
    run = unbroken(kind)
    request, manifest = run.request, run.manifest
    made_from = manifest["made_from"]
    assert made_from["data"] == {"train": sha256_file(request.train), "val": sha256_file(request.val)}
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert made_from["model"][name] == sha256_file(study.model / name)
    start = study.parent if kind == "dpo" else study.model
    assert start is not None
    assert made_from["weights"] == {"model.safetensors": sha256_file(start / "model.safetensors")}
    assert kind == "sft" or made_from["weights"] == read_json(start / WEIGHTS_FILE)
    assert made_from["run"]["recipe"] == request.run.recipe
    assert made_from["run"]["seed"] == request.run.seed
    assert made_from["code"] == {
        str(file.relative_to(request.script.parent)): sha256_file(file) for file in import_closure(request.script)
    }
    assert made_from["pins"] == pins("train")
    assert manifest["run"]["identity"] == sha256_text(canonical_json(made_from))[:16]
    assert manifest["weights"] == {"model.safetensors": sha256_file(run.folder / "model.safetensors")}
    assert str(study.model.parent.parent) not in canonical_json(manifest)
