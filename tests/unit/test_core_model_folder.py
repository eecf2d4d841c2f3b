"""A folder with anything in it that could run is refused by the name of that thing; a plain one is not."""

import json

import pytest

from planted import PLANTED
from winnow.core.errors import WinnowError
from winnow.core.model_folder import refuse_code


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "model"
    made.mkdir()
    (made / "config.json").write_text('{"model_type": "qwen2", "_attn_implementation": "sdpa"}')
    (made / "tokenizer_config.json").write_text('{"chat_template": "{% if a / b %}"}')
    (made / "tokenizer.json").write_text('{"model": {"vocab": {"auto_map": 7}}}')
    (made / "model-1.safetensors").write_bytes((8).to_bytes(8, "little") + b"{}      ")
    (made / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-1.safetensors"}}))
    (made / "merges.txt").write_text("#version: 0.2\n")
    return made


def test_a_plain_folder_passes(folder):
    refuse_code(folder)


@pytest.mark.parametrize("what", PLANTED)
def test_what_could_run_is_refused_by_name(folder, tmp_path, what):
    plant, message = PLANTED[what]
    plant(folder, tmp_path / "ran")
    with pytest.raises(WinnowError, match=message):
        refuse_code(folder)
    assert not (tmp_path / "ran").exists()
