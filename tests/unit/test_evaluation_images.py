"""Likelihoods and samples of a tiny Qwen2.5-VL on rows with images, against plain passes on single rows."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import evaluate_run
import generate_responses
from training import fixtures, images
from winnow.core.config.runs import Generation
from winnow.core.errors import WinnowError
from winnow.core.tables import RENDERED_SFT_IMAGES, read_rows, write_table
from winnow.evaluation.likelihood import response_logps
from winnow.generation.sampling import Request
from winnow.generation.transformers_backend import TransformersBackend
from winnow.models.encoding import encode, encode_prompt, show_images
from winnow.models.images import check_table, open_images
from winnow.models.inference import LoadedModel, device_for, load_model


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a model, an image cache and tables."""
    made = tmp_path_factory.mktemp("evaluation")
    for stage in ("sft", "dpo"):
        images.write_rows(made, stage)
    images.make_model(made / "models", fixtures.write_texts(made / "corpus"), initializer_range=0.3)
    return made


@pytest.fixture
def loaded(root: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedModel:
    monkeypatch.chdir(root)
    return load_model(root / "models", None, device_for(0), images.PIXELS)


def plain_inputs(loaded: LoadedModel, row: dict[str, Any], text: str) -> dict[str, torch.Tensor]:
    """What transformers' processor makes of one row."""
    return dict(loaded.processor(text=[text], images=open_images(row["images"]), return_tensors="pt"))


def encoded_rows(loaded: LoadedModel, root: Path) -> tuple[list[dict[str, Any]], list[Any]]:
    rows = list(read_rows(root / "vision/sft/val.parquet"))
    bare = [encode(loaded.tokenizer, row["prompt"], row["completion"], "row") for row in rows]
    shown = [show_images(one, loaded.processor, row["images"], "row") for one, row in zip(bare, rows, strict=True)]
    return rows, shown


def test_log_probabilities_equal_the_loss_of_transformers(loaded: LoadedModel, root: Path) -> None:
    rows, encoded = encoded_rows(loaded, root)
    alone = []
    for row, one in zip(rows, encoded, strict=True):
        text = loaded.tokenizer.apply_chat_template(row["prompt"] + row["completion"], tokenize=False)
        inputs = plain_inputs(loaded, row, text.removesuffix("\n"))
        assert inputs["input_ids"][0].tolist() == list(one.ids)
        labels = inputs["input_ids"].clone()
        labels[:, : one.prompt_tokens] = -100
        with torch.no_grad():
            alone.append(float(loaded.model(**inputs, labels=labels).loss))
    for batch_size in (1, 3):
        found = list(response_logps(loaded, enumerate(encoded), batch_size))
        assert [-logp / tokens for _, logp, tokens in found] == pytest.approx(alone, rel=1e-5)


def test_samples_equal_a_plain_greedy_loop(loaded: LoadedModel, root: Path) -> None:
    # Or the plain loop would feed an image's token back, behind which there is no image.
    with torch.no_grad():
        loaded.model.get_input_embeddings().weight[loaded.processor.image_token_id] = 0
    rows, _ = encoded_rows(loaded, root)
    backend = TransformersBackend(loaded, Generation(max_new_tokens=6))
    for row in rows:
        asked = Request(encode_prompt(loaded.tokenizer, row["prompt"]), tuple(row["images"]))
        (sample,) = backend.generate([asked])
        text = loaded.tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
        inputs = plain_inputs(loaded, row, text)
        new: list[int] = []
        while len(new) < 6 and loaded.tokenizer.eos_token_id not in new:
            ids = torch.cat([inputs["input_ids"], torch.tensor([new], dtype=torch.long)], 1)
            kinds = torch.nn.functional.pad(inputs["mm_token_type_ids"], (0, len(new)))
            given = inputs | {"input_ids": ids, "mm_token_type_ids": kinds, "attention_mask": torch.ones_like(ids)}
            with torch.no_grad():
                new.append(int(loaded.model(**given).logits[0, -1].argmax()))
        assert sample.text == loaded.tokenizer.decode(new, skip_special_tokens=True)


def test_another_image_is_another_likelihood(loaded: LoadedModel, root: Path) -> None:
    rows, encoded = encoded_rows(loaded, root)
    (_, first, _), *_ = response_logps(loaded, [(0, encoded[0])], 1)
    other = images.draw(root, "yellow", (56, 56), 1)
    paths = [other for _ in rows[0]["images"]]
    bare = encode(loaded.tokenizer, rows[0]["prompt"], rows[0]["completion"], "row")
    (_, second, _), *_ = response_logps(loaded, [(0, show_images(bare, loaded.processor, paths, "row"))], 1)
    assert abs(first - second) > 1e-3


def test_rows_that_do_not_show_what_they_have_are_refused(loaded: LoadedModel, root: Path) -> None:
    row = next(read_rows(root / "vision/sft/val.parquet"))
    bare = encode(loaded.tokenizer, row["prompt"], row["completion"], "row")
    with pytest.raises(WinnowError, match="row 3: has 2 image tokens for 3 images"):
        show_images(bare, loaded.processor, [*row["images"], row["images"][0]], "row 3")


def test_tables_of_another_modality_are_refused(root: Path, tmp_path: Path) -> None:
    _, val = fixtures.write_rows(tmp_path, "sft")
    with pytest.raises(WinnowError, match="does not go with a modality that shows images"):
        check_table(val, shown=True)
    with pytest.raises(WinnowError, match="does not go with a modality that shows no images"):
        check_table(root / "vision/sft/val.parquet", shown=False)


def test_an_image_that_is_gone(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Path(shutil.copytree(root, tmp_path / "copy"))
    monkeypatch.chdir(copy)
    table = copy / "vision/dpo/val.parquet"
    check_table(table, shown=True)
    (copy / next(read_rows(table))["images"][0]).unlink()
    with pytest.raises(WinnowError, match=r"is gone\n.*--forcerun draw_images"):
        check_table(table, shown=True)


def _script(script: Any, monkeypatch: pytest.MonkeyPatch, spec: dict[str, Any], **paths: object) -> None:
    """Run a script in this process, in the folder that the test stands in."""
    options = [part for name, path in paths.items() for part in (f"--{name}", str(path))]
    spec = {"run": "base_vision", **spec, **images.PIXELS}
    monkeypatch.setattr(sys, "argv", ["script.py", "--spec", json.dumps(spec), "--model", "models", *options])
    script.main()


def test_the_scripts_give_equal_bytes(loaded: LoadedModel, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"prompts": 2, "samples": 1, "max_new_tokens": 6}
    made = []
    for name in ("a", "b"):
        out = root / name
        generations, heldout = out / "generations.jsonl", "vision/sft/val.parquet"
        of_generating = {"cache": out / "cache", "manifest": out / "generations.manifest.json"}
        of_generating |= {"heldout": heldout, "generations": generations}
        _script(generate_responses, monkeypatch, {"generation": settings}, **of_generating)
        of_evaluating = {"preferences": "dpo=vision/dpo/val.parquet", "rows": out / "rows.jsonl"}
        of_evaluating |= {"heldout": heldout, "generations": generations, "metrics": out / "metrics.json"}
        _script(evaluate_run, monkeypatch, {"seed": 0, "batch_size": 2}, **of_evaluating)
        made.append({file.name: file.read_bytes() for file in sorted(out.iterdir()) if file.is_file()})
    assert made[0] == made[1]
    metrics = json.loads(made[0]["metrics.json"])
    assert metrics["heldout"]["n"] == 5
    assert metrics["preferences"]["dpo"]["n"] == 5
    samples = [json.loads(line) for line in made[0]["generations.jsonl"].splitlines()]
    assert [sample["decoding"] for sample in samples] == ["greedy", "sampled"] * 2
    assert (metrics["generations"]["n"], metrics["generations_sampled"]["n"]) == (2, 2)


def test_a_row_that_shows_nothing_is_told(root: Path, tmp_path: Path) -> None:
    rows = [row | {"images": None} for row in read_rows(root / "vision/sft/val.parquet")]
    write_table(tmp_path / "val.parquet", rows, RENDERED_SFT_IMAGES, ["response_id"])
    with pytest.raises(WinnowError, match="has a row that shows no image"):
        check_table(tmp_path / "val.parquet", shown=True)
