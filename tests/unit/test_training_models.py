"""Base models: tiny ones do not depend on the order of rows, others are checked before anything of them is read."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import huggingface_hub
import pytest
from huggingface_hub import errors
from transformers import AutoTokenizer

from training import fixtures
from winnow.core.base_model import BaseModel, read_base_model
from winnow.core.config.models import Model, TinyModel, TinyVision
from winnow.core.errors import WinnowError
from winnow.core.files import write_json
from winnow.core.tables import RESPONSES, read_rows, write_table
from winnow.datasets.render import load_tokenizer
from winnow.training.base_models import prepare_model, tokenizer_class
from winnow.training.loading import load_model, weights_of
from winnow.training.tiny_models import SPECIAL_TOKENS, draw_texts, train_tokenizer

TINY = Model(tiny=TinyModel(vocab_size=400, hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=16))
SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return fixtures.write_texts(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, texts: list[Path]) -> Path:
    folder = tmp_path_factory.mktemp("models") / "text"
    prepare_model(TINY, texts, folder)
    return folder


def test_tiny_model_is_whole_and_says_where_it_is(tiny: Path) -> None:
    assert read_base_model(tiny) == BaseModel(str(tiny), None)
    model = load_model(weights_of(tiny, None), dtype="float32", attention="sdpa")
    assert model.config.vocab_size % 64 == 0
    assert model.config.tie_word_embeddings
    for file in tiny.iterdir():
        assert str(tiny.parent).encode() not in file.read_bytes()


def test_tiny_model_does_not_depend_on_files_or_order_of_rows(tiny: Path, texts: list[Path], tmp_path: Path) -> None:
    rows = list(read_rows(texts[1]))
    random.Random(5).shuffle(rows)
    # Other ids, so other places in the tables.
    for half, part in (("a", rows[:17]), ("b", rows[17:])):
        renamed = [row | {"response_id": f"{half}{index:03}"} for index, row in enumerate(part)]
        write_table(tmp_path / f"{half}.parquet", renamed, RESPONSES, ["response_id"])
    prepare_model(TINY, [tmp_path / "b.parquet", texts[0], tmp_path / "a.parquet"], tmp_path / "text")
    for file in tiny.iterdir():
        assert (tmp_path / "text" / file.name).read_bytes() == file.read_bytes(), file.name


def test_tiny_model_follows_its_seed(tiny: Path, texts: list[Path], tmp_path: Path) -> None:
    assert TINY.tiny is not None
    prepare_model(Model(tiny=TINY.tiny.model_copy(update={"seed": 1})), texts, tmp_path / "text")
    assert (tmp_path / "text" / "model.safetensors").read_bytes() != (tiny / "model.safetensors").read_bytes()
    assert (tmp_path / "text" / "tokenizer.json").read_bytes() == (tiny / "tokenizer.json").read_bytes()


def test_drawn_texts_are_those_with_the_smallest_hashes(texts: list[Path]) -> None:
    everything = draw_texts(texts)
    assert len(everything) == len(set(everything)) == 120
    for limit in (1, 500, 5000):
        drawn = draw_texts(texts, limit)
        assert drawn == everything[: len(drawn)]
        assert sum(map(len, drawn)) >= limit > sum(map(len, drawn[:-1]))


def test_tokenizer_is_the_same_when_loaded_as_a_qwen_tokenizer(tiny: Path, texts: list[Path]) -> None:
    """AutoTokenizer picks the class by the model's type; it must not change a token."""
    trained = train_tokenizer(draw_texts(texts), 400)
    loaded = AutoTokenizer.from_pretrained(tiny)
    for text in ("clear and 12345 it's\n\n  done<|im_end|>", "é ﬁ \u200b 漢字 🙂", "\t\tx  y", ""):
        assert loaded(text)["input_ids"] == trained(text)["input_ids"]
        assert loaded.decode(loaded("a" + text)["input_ids"]) == "a" + text
    specials = {loaded.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    assert specials == set(range(len(loaded) - len(SPECIAL_TOKENS), len(loaded)))  # after all words, as in Qwen
    assert loaded.eos_token == "<|im_end|>"


# Reads a folder's tokenizer as rendering does, in a process of its own: torch is in this one.
TOKENS = """
import json, sys
from pathlib import Path
from winnow.datasets.render import load_tokenizer
chat, conversations = load_tokenizer(Path(sys.argv[1])), json.loads(sys.argv[2])
print(json.dumps([chat.ids(conversations, prompt=prompt) for prompt in (False, True)]))
sys.exit("torch" in sys.modules)
"""


@pytest.mark.parametrize("vision", [False, True])
def test_rendering_reads_the_tokenizer_that_autotokenizer_chooses_without_torch(
    tiny: Path, texts: list[Path], tmp_path: Path, vision: bool
) -> None:
    if vision:
        assert TINY.tiny is not None
        prepare_model(Model(tiny=TINY.tiny.model_copy(update={"vision": TinyVision()})), texts, tmp_path / "vision")
    folder = tmp_path / "vision" if vision else tiny
    words = [*draw_texts(texts)[:50], "é ﬁ \u200b 漢字 🙂\r\n\t x  <|im_end|> it's 12345", ""]
    conversations = [[{"role": "user", "content": text}] for text in words]
    command = [sys.executable, "-c", TOKENS, str(folder), json.dumps(conversations)]
    environment = {"PYTHONPATH": str(Path(fixtures.__file__).parents[2] / "workflow_scripts")}
    read = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stderr
    chosen = AutoTokenizer.from_pretrained(folder)
    for prompt, ids in zip((False, True), json.loads(read.stdout), strict=True):
        template = chosen.apply_chat_template
        assert ids == template(conversations, add_generation_prompt=prompt, return_dict=True)["input_ids"]
    noted = load_tokenizer(folder).tokenizer
    assert type(noted) is type(chosen)
    assert noted.backend_tokenizer.to_str() == chosen.backend_tokenizer.to_str()


@pytest.mark.parametrize("model_type", ["qwen2", "llama", "mistral", "gpt2", None])
def test_the_noted_class_is_that_of_the_models_type(tiny: Path, tmp_path: Path, model_type: str | None) -> None:
    for file in tiny.glob("*token*.json"):
        shutil.copy(file, tmp_path)
    if model_type is not None:
        write_json(tmp_path / "config.json", {"model_type": model_type})
    assert tokenizer_class(tmp_path) == type(AutoTokenizer.from_pretrained(tmp_path)).__name__


def test_a_folder_without_tokenizer_has_no_class(tmp_path: Path) -> None:
    assert tokenizer_class(tmp_path) is None


def test_chat_template_ends_a_response_with_the_end_token(tiny: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    messages = [{"role": "user", "content": "clear"}, {"role": "assistant", "content": "weak"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert text.endswith("<|im_start|>user\nclear<|im_end|>\n<|im_start|>assistant\nweak<|im_end|>\n")


def test_vocabulary_too_small(texts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(WinnowError, match=r"tiny\.vocab_size: 200 cannot hold 256 bytes"):
        prepare_model(Model(tiny=TinyModel(vocab_size=200)), texts, tmp_path / "text")
    assert not (tmp_path / "text").exists()


def test_local_folder(tiny: Path, tmp_path: Path) -> None:
    local = Path(shutil.copytree(tiny, tmp_path / "local"))
    facts = prepare_model(Model(path=str(local)), [], tmp_path / "text")
    assert read_base_model(tmp_path / "text") == BaseModel(str(local), None)
    assert list(facts["weights"]) == ["model.safetensors"]
    assert not list((tmp_path / "text").glob("*.safetensors"))
    assert (tmp_path / "text" / "tokenizer.json").read_bytes() == (tiny / "tokenizer.json").read_bytes()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("no config", r"config\.json: there is no such file"),
        ("no weights", "holds no \\*\\.safetensors"),
        ("pickle", r"pytorch_model\.bin: is a pickle"),
        ("code", "has auto_map: the model brings code of its own"),
        ("no folder", "there is no such folder"),
    ],
)
def test_local_folders_that_are_refused(tiny: Path, tmp_path: Path, damage: str, message: str) -> None:
    local = Path(shutil.copytree(tiny, tmp_path / "local"))
    if damage == "no config":
        (local / "config.json").unlink()
    elif damage == "no weights":
        (local / "model.safetensors").unlink()
    elif damage == "pickle":
        (local / "pytorch_model.bin").write_bytes(b"")
    elif damage == "code":
        config = (local / "config.json").read_text()
        (local / "config.json").write_text(config.replace("{", '{"auto_map": {"AutoModel": "evil.Model"},', 1))
    else:
        shutil.rmtree(local)
    with pytest.raises(WinnowError, match=message):
        prepare_model(Model(path=str(local)), [], tmp_path / "text")
    assert not (tmp_path / "text").exists()


def fake_hub(monkeypatch: pytest.MonkeyPatch, source: Path, files: list[str]) -> list[dict[str, Any]]:
    """Stand in for the hub: it knows one model at one commit."""
    asked: list[dict[str, Any]] = []

    def model_info(_: Any, name: str, revision: str | None = None) -> Any:
        asked.append({"name": name, "revision": revision})
        return SimpleNamespace(sha=SHA, siblings=[SimpleNamespace(rfilename=file) for file in files])

    def snapshot_download(name: str, revision: str, allow_patterns: list[str]) -> str:
        asked.append({"name": name, "revision": revision, "patterns": allow_patterns})
        return str(source)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return asked


def test_hub_name_is_resolved_once_and_kept(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_hub(monkeypatch, tiny, ["config.json", "model.safetensors"])
    prepare_model(Model(name="owner/model"), [], tmp_path / "text")
    assert read_base_model(tmp_path / "text") == BaseModel("owner/model", SHA)
    assert [question["revision"] for question in asked] == [None, SHA]
    assert not any("safetensors" in pattern or "py" in pattern for pattern in asked[1]["patterns"])
    assert not list((tmp_path / "text").glob("*.safetensors"))


def test_hub_model_without_safetensors(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_hub(monkeypatch, tiny, ["config.json", "pytorch_model.bin"])
    with pytest.raises(WinnowError, match=r"owner/model: has no \*\.safetensors on the hub"):
        prepare_model(Model(name="owner/model"), [], tmp_path / "text")


_RESPONSE = httpx2.Response(404, request=httpx2.Request("GET", "https://hub"))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.RepositoryNotFoundError("x", response=_RESPONSE), "the hub knows no such model"),
        (errors.RevisionNotFoundError("x", response=_RESPONSE), "the hub has no such revision"),
        (errors.GatedRepoError("x", response=_RESPONSE), "accepted its licence"),
        (errors.OfflineModeIsEnabled("x"), "cannot be read from the hub: OfflineModeIsEnabled"),
        (httpx2.ConnectError("no route"), "cannot be read from the hub: ConnectError"),
        (httpx2.ReadTimeout("slow"), "cannot be read from the hub: ReadTimeout"),
    ],
)
def test_hub_errors_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", fail)
    with pytest.raises(WinnowError, match=message) as caught:
        prepare_model(Model(name="owner/model"), [], tmp_path / "text")
    assert "models key name: owner/model" in str(caught.value)
    assert "fix: " in str(caught.value)


def test_tiny_vision_model_follows_texts_and_seed_alone(texts: list[Path], tmp_path: Path) -> None:
    assert TINY.tiny is not None
    seeing = TINY.tiny.model_copy(update={"vision": TinyVision()})
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepare_model(Model(tiny=seeing.model_copy(update={"seed": seed})), texts, tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert (tmp_path / "b" / file.name).read_bytes() == file.read_bytes(), file.name
    assert (tmp_path / "c" / "model.safetensors").read_bytes() != (tmp_path / "a" / "model.safetensors").read_bytes()
    model = load_model(weights_of(tmp_path / "a", None), dtype="float32", attention="sdpa")
    assert type(model).__name__ == "Qwen2_5_VLForConditionalGeneration"
    assert sum(weight.numel() for weight in model.parameters()) < 187_000


def test_tiny_vision_model_has_the_tokens_of_the_text_model(tiny: Path, texts: list[Path], tmp_path: Path) -> None:
    assert TINY.tiny is not None
    prepare_model(Model(tiny=TINY.tiny.model_copy(update={"vision": TinyVision()})), texts, tmp_path / "vision")
    assert (tmp_path / "vision" / "tokenizer.json").read_bytes() == (tiny / "tokenizer.json").read_bytes()
    plain, seeing = AutoTokenizer.from_pretrained(tiny), AutoTokenizer.from_pretrained(tmp_path / "vision")
    for text in ("clear and 12345 it's\n\n  done<|im_end|>", "é ﬁ \u200b 漢字 🙂<|image_pad|>", "\t\tx  y"):
        assert plain(text)["input_ids"] == seeing(text)["input_ids"]


def test_other_vision_models_are_refused(tiny: Path, tmp_path: Path) -> None:
    local = Path(shutil.copytree(tiny, tmp_path / "local"))
    write_json(local / "config.json", {"model_type": "qwen2_vl", "vision_config": {}, "text_config": {}})
    with pytest.raises(WinnowError, match="is a qwen2_vl, which sees images"):
        load_model(BaseModel(str(local), None), dtype="float32", attention=None)
