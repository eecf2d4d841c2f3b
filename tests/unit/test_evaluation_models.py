"""Likelihoods of a tiny model, against transformers' own and against plain loops."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import evaluate_run
from evaluation_fixtures import heldout_table, preference_table, tiny_model
from winnow.core.errors import WinnowError
from winnow.core.ids import sha256_file
from winnow.core.model_folder import verify_weights
from winnow.evaluation.likelihood import response_logps
from winnow.evaluation.measure import measure_answers
from winnow.generation.prompts import read_prompts
from winnow.models.encoding import encode, encode_prompt
from winnow.models.inference import device_for, load_model

PROMPT = [{"role": "user", "content": "Review the paper"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "text")


@pytest.fixture(scope="module")
def loaded(folder):
    return load_model(folder, None, device_for(0))


def answer(text):
    return [{"role": "assistant", "content": text}]


def test_a_response_is_its_text_and_its_end(loaded):
    encoded = encode(loaded.tokenizer, PROMPT, answer("is novel"), "row")
    head = loaded.tokenizer.decode(encoded.ids[: encoded.prompt_tokens])
    assert head == "<|im_start|>user\nReview the paper<|im_end|>\n<|im_start|>assistant\n"
    assert loaded.tokenizer.decode(encoded.ids[encoded.prompt_tokens :]) == "is novel<|im_end|>"
    assert encoded.ids[: encoded.prompt_tokens] == encode_prompt(loaded.tokenizer, PROMPT)


def test_a_template_that_rewrites_the_prompt_is_refused(folder):
    tokenizer = load_model(folder, None, "cpu").tokenizer
    tokenizer.chat_template = "{{ messages|length }}" + tokenizer.chat_template
    with pytest.raises(WinnowError, match=r"row 7: the chat template tokenises the prompt differently"):
        encode(tokenizer, PROMPT, answer("is novel"), "row 7")


def test_log_probabilities_equal_the_loss_of_transformers(loaded):
    texts = ["weak", "strong results show promise and clear baselines", "novel but weak", "lack", "the method is weak"]
    encoded = [encode(loaded.tokenizer, PROMPT, answer(text), text) for text in texts]
    for batch_size in (1, 3):
        found = list(response_logps(loaded, zip(texts, encoded, strict=True), batch_size))
        assert [key for key, _, _ in found] == texts
        for row, (_, logp, tokens) in zip(encoded, found, strict=True):
            ids = torch.tensor([row.ids])
            labels = ids.clone()
            labels[:, : row.prompt_tokens] = -100
            with torch.no_grad():
                loss = float(loaded.model(ids, labels=labels).loss)
            assert tokens == row.response_tokens
            assert -logp / tokens == pytest.approx(loss, rel=1e-5)


def test_weights_must_be_those_of_the_manifest(folder, tmp_path):
    manifest, file = tmp_path / "manifest.json", folder / "model.safetensors"
    manifest.write_text(json.dumps({"weights": {file.name: sha256_file(file)}}))
    assert verify_weights(manifest, folder) == {file.name: sha256_file(file)}
    with pytest.raises(
        WinnowError, match=r"model\.safetensors: is named in .* and is gone\n.*--forcerun .*manifest\.json"
    ):
        verify_weights(manifest, tmp_path)
    manifest.write_text(json.dumps({"weights": {file.name: "0" * 64}}))
    with pytest.raises(WinnowError, match=r"is not the file that .* recorded"):
        verify_weights(manifest, folder)
    manifest.write_text("{}")
    with pytest.raises(WinnowError, match="names no weights"):
        verify_weights(manifest, folder)


def test_a_missing_tensor_is_an_error_not_a_random_number(tmp_path):
    broken = tiny_model(tmp_path / "broken")
    tensors = load_file(broken / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WinnowError, match=r"missing_keys: model\.norm\.weight"):
        load_model(broken, None, "cpu")


def test_weights_without_safetensors_are_refused(folder, tmp_path):
    with pytest.raises(WinnowError, match=r"holds no \*\.safetensors"):
        load_model(folder, tmp_path, "cpu")


def test_asking_for_a_gpu_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(WinnowError, match="PyTorch sees no GPU"):
        device_for(1)


def generated(loaded, table, file):
    """One greedy and one made-up response to the prompts of a table, as generate_responses.py writes them."""
    lines = []
    for prompt in read_prompts(table, loaded.tokenizer, 2):
        for sample, words in enumerate(("is novel", "strong results show promise")):
            ids = loaded.tokenizer.encode(words, add_special_tokens=False)
            row = {"id": f"base_clean/{prompt.prompt_id}/{sample}", "prompt_id": prompt.prompt_id}
            row |= {"decoding": ("greedy", "sampled")[sample], "stop_reason": "length"}
            lines.append(json.dumps(row | {"token_ids": ids, "tokens": len(ids), "text": words}) + "\n")
    file.write_text("".join(lines))
    return file


def _evaluate(monkeypatch, folder, tables, out, **more):
    out.mkdir()
    spec = {"run": "base_clean", "seed": 0, "batch_size": 2} | more
    arguments = ["--spec", json.dumps(spec), "--model", str(folder), "--heldout", str(tables / "heldout.parquet")]
    arguments += ["--preferences", f"dpo={tables / 'val.parquet'}", "--rows", str(out / "rows.jsonl")]
    arguments += ["--generations", str(tables / "generations.jsonl"), "--metrics", str(out / "metrics.json")]
    monkeypatch.setattr(sys, "argv", ["evaluate_run.py", *arguments])
    evaluate_run.main()
    return {file.name: file.read_bytes() for file in sorted(out.iterdir())}


def test_the_script_gives_equal_bytes_and_numbers_that_add_up(monkeypatch, folder, loaded, tmp_path):
    table = heldout_table(tmp_path / "heldout.parquet")
    preference_table(tmp_path / "val.parquet")
    generated(loaded, table, tmp_path / "generations.jsonl")
    first, again = (_evaluate(monkeypatch, folder, tmp_path, tmp_path / name) for name in ("a", "b"))
    assert first == again
    metrics = json.loads(first["metrics.json"])
    rows = [json.loads(line) for line in first["rows.jsonl"].splitlines()]
    heldout = [row for row in rows if row["kind"] == "heldout"]
    loss = math.fsum(row["nats"] for row in heldout) / sum(row["tokens"] for row in heldout)
    assert metrics["heldout"]["loss"] == pytest.approx(loss, abs=1e-6)
    assert (metrics["heldout"]["n"], metrics["heldout"]["prompts"], metrics["heldout"]["rows_cut"]) == (6, 3, 1)
    wins = [row["chosen_logp"] > row["rejected_logp"] for row in rows if row["kind"] == "preference"]
    assert metrics["preferences"]["dpo"]["accuracy"] == sum(wins) / len(wins) == sum(wins) / 5
    samples = {row["id"]: row for row in rows if row["kind"] == "sample"}
    assert len(samples) == 4
    for decoding, key in (("greedy", "generations"), ("sampled", "generations_sampled")):
        assert metrics[key]["n"] == 2
        of_kind = [row["mean_entropy"] for row in samples.values() if row["id"][-1] == str(int(decoding == "sampled"))]
        assert metrics[key]["mean_entropy"] == pytest.approx(sum(of_kind) / 2, abs=1e-6)


def test_generated_tokens_are_scored_as_a_plain_pass_would(monkeypatch, folder, loaded, tmp_path):
    table = heldout_table(tmp_path / "heldout.parquet")
    preference_table(tmp_path / "val.parquet")
    generations = generated(loaded, table, tmp_path / "generations.jsonl")
    made = _evaluate(monkeypatch, folder, tmp_path, tmp_path / "out")["rows.jsonl"].decode()
    found = {row["id"]: row for row in map(json.loads, made.splitlines()) if row["kind"] == "sample"}
    prompts = {prompt.prompt_id: prompt.ids for prompt in read_prompts(table, loaded.tokenizer)}
    for row in map(json.loads, generations.read_text().splitlines()):
        ids, start = [*prompts[row["prompt_id"]], *row["token_ids"]], len(prompts[row["prompt_id"]])
        with torch.no_grad():
            logits = loaded.model(torch.tensor([ids])).logits[0, start - 1 : -1]
        nats = torch.nn.functional.cross_entropy(logits, torch.tensor(row["token_ids"]), reduction="sum")
        entropy = torch.distributions.Categorical(logits=logits).entropy().mean()
        assert found[row["id"]]["nats"] == pytest.approx(float(nats), rel=1e-5)
        assert found[row["id"]]["mean_entropy"] == pytest.approx(float(entropy), abs=1e-5)
        assert found[row["id"]]["tokens"] == len(row["token_ids"])


def test_answers_add_a_line_for_every_prompt_and_change_no_other(monkeypatch, folder, loaded, tmp_path):
    table = heldout_table(tmp_path / "heldout.parquet")
    preference_table(tmp_path / "val.parquet")
    generated(loaded, table, tmp_path / "generations.jsonl")
    answers = {"sarcastic": "Yes", "not_sarcastic": "No"}
    without = _evaluate(monkeypatch, folder, tmp_path, tmp_path / "without")
    made = _evaluate(monkeypatch, folder, tmp_path, tmp_path / "with", answers=answers)
    lines = made["rows.jsonl"].decode().removeprefix(without["rows.jsonl"].decode()).splitlines()
    rows = [json.loads(line) for line in lines]
    expected = [{"kind": "label", **row} for row in measure_answers(loaded, table, answers, 2)]
    assert rows == expected
    assert [row["prompt_id"] for row in rows] == ["p0", "p1", "p2"]
    metrics, before = (json.loads(files["metrics.json"]) for files in (made, without))
    assert metrics.pop("settings") == before.pop("settings") | {"answers": answers}
    assert metrics == before
    with pytest.raises(WinnowError, match="answers are scored for text alone"):
        _evaluate(monkeypatch, folder, tmp_path, tmp_path / "x", answers=answers, max_pixels=9, min_pixels=1)


def test_weights_go_with_their_manifest(monkeypatch, folder, tmp_path):
    arguments = ["--spec", '{"run": "sft_clean", "seed": 0}', "--model", str(folder), "--weights", str(folder)]
    arguments += ["--heldout", "x", "--generations", "y", "--metrics", "z"]
    monkeypatch.setattr(sys, "argv", ["evaluate_run.py", *arguments])
    with pytest.raises(WinnowError, match="goes with --run-manifest"):
        evaluate_run.main()
