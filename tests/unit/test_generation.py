"""Responses of a tiny model: against a plain loop, alone and in batches, and after a kill."""

import itertools
import json
import math
import sys
from pathlib import Path
from random import Random

import pytest
import torch

import generate_responses
from evaluation_fixtures import heldout_table, tiny_model
from winnow.core.config.runs import Generation
from winnow.core.errors import WinnowError
from winnow.generation.finished import Finished
from winnow.generation.prompts import choose_prompts
from winnow.generation.sampling import Request, Sample, sample_seed
from winnow.generation.transformers_backend import TransformersBackend, draw_token
from winnow.models.encoding import encode_prompt
from winnow.models.inference import device_for, load_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "text")


@pytest.fixture(scope="module")
def loaded(folder):
    return load_model(folder, None, device_for(0))


def prompt_ids(loaded, text):
    return encode_prompt(loaded.tokenizer, [{"role": "user", "content": text}])


def plain(loaded, prompt, choose, tokens=12):
    """Generate token by token without a cache, each chosen from the logits of a whole pass."""
    ids, stops = list(prompt), {loaded.tokenizer.eos_token_id, loaded.tokenizer.pad_token_id}
    while len(ids) - len(prompt) < tokens and not (len(ids) > len(prompt) and ids[-1] in stops):
        with torch.no_grad():
            ids.append(choose(loaded.model(torch.tensor([ids])).logits[0, -1]))
    return tuple(ids[len(prompt) :])


def test_a_greedy_response_is_that_of_a_plain_loop(loaded):
    backend = TransformersBackend(loaded, Generation(max_new_tokens=12))
    for text in ("Review", "the weak paper"):
        prompt = prompt_ids(loaded, text)
        expected = plain(loaded, prompt, lambda logits: int(logits.argmax()))
        (sample,) = backend.generate([Request(prompt)])
        assert sample.token_ids == expected
        assert sample.text == loaded.tokenizer.decode(expected, skip_special_tokens=True)
        stops = {loaded.tokenizer.eos_token_id, loaded.tokenizer.pad_token_id}
        assert sample.stop_reason == ("stop" if expected[-1] in stops else "length")


def test_a_drawn_response_is_that_of_a_plain_loop(loaded):
    settings = Generation(max_new_tokens=12, temperature=0.7, top_p=0.9)
    random = Random(5)
    prompt = prompt_ids(loaded, "Review")

    def choose(logits):
        """Nucleus sampling written out: from the most probable token on, until the share is reached."""
        probabilities = (logits.double() / 0.7).softmax(-1).tolist()
        order = sorted(range(len(probabilities)), key=lambda token: (-probabilities[token], token))
        sums = list(itertools.accumulate(probabilities[token] for token in order))
        kept = next(place for place, share in enumerate(sums) if share >= 0.9) + 1
        target = random.random() * sums[kept - 1]
        return next(token for token, share in zip(order[:kept], sums, strict=False) if share > target)

    (sample,) = TransformersBackend(loaded, settings).generate([Request(prompt, seed=5)])
    assert sample.token_ids == plain(loaded, prompt, choose)


def test_draws_have_the_frequencies_of_the_distribution():
    logits = torch.tensor([0.1, 0.5, 0.25, 0.15]).log()
    random = Random(0)
    counts = [0] * 4
    for _ in range(4000):
        counts[draw_token(logits, random.random(), temperature=1.0, top_p=0.85)] += 1
    # 0.5 + 0.25 is less than 0.85, so that the third token is in and the last is not; what is left sums to 0.9.
    expected = [0, 0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9]
    assert counts[0] == 0
    for count, share in zip(counts, expected, strict=True):
        assert abs(count / 4000 - share) <= 4 * math.sqrt(share * (1 - share) / 4000)
    assert draw_token(logits, 0.999999, temperature=1.0, top_p=0.01) == 1
    assert draw_token(logits, 0.0, temperature=0.01, top_p=1.0) == 1


def test_a_response_depends_on_nothing_else_in_its_batch(loaded):
    """Alone, beside others of its prompt, behind padding beside another prompt, and in another order: one response."""
    prompts = [prompt_ids(loaded, text) for text in ("Review", "the weak paper has strong results and baselines")]
    requests = [Request(prompt, seed=seed) for prompt in prompts for seed in (None, 1, 2)]
    alone = [sample for one in requests for sample in TransformersBackend(loaded, Generation()).generate([one])]
    for size in (2, 6):
        backend = TransformersBackend(loaded, Generation(batch_size=size))
        assert backend.generate(requests) == alone
        assert backend.generate(requests[::-1]) == alone[::-1]
    assert len(set(alone)) == len(alone)


def test_a_response_ends_with_the_end_token(folder):
    loaded = load_model(folder, None, "cpu")
    prompt = prompt_ids(loaded, "Review the paper")
    backend = TransformersBackend(loaded, Generation(max_new_tokens=3))
    (first,) = backend.generate([Request(prompt)])
    loaded.tokenizer.eos_token = loaded.tokenizer.convert_ids_to_tokens(first.token_ids[0])
    (stopped,) = backend.generate([Request(prompt)])
    assert (first.stop_reason, stopped.stop_reason) == ("length", "stop")
    assert stopped.token_ids == first.token_ids[:1]


def test_seeds_follow_from_the_seed_the_prompt_and_the_number():
    cases = list(itertools.product((0, 1), ("p1", "p11"), (1, 11)))
    seeds = {sample_seed(*case) for case in cases}
    assert len(seeds) == len(cases)
    assert seeds == {sample_seed(*case) for case in reversed(cases)}
    assert all(0 <= seed < 2**60 for seed in seeds)


def test_prompts_are_chosen_by_hash_with_one_row_for_each_in_any_order():
    ids = [(f"p{i // 3}", f"r{i}") for i in range(30)]
    chosen = list(choose_prompts(ids, 4).items())
    assert chosen == list(choose_prompts(ids[::-1], 4).items())
    assert set(chosen) <= set(ids)
    assert chosen[:2] == list(choose_prompts(ids, 2).items())  # asking for more keeps those before
    assert len(choose_prompts(ids, 99)) == len(choose_prompts(ids)) == 10


def answers(text):
    return [[Sample((1, 2), text, "stop"), Sample((3,), "\u2028 " + text, "length")]]


def test_what_is_finished_survives_and_a_half_line_does_not(tmp_path):
    file = tmp_path / "key" / "chunks.jsonl"
    written = Finished(file)
    for text in ("a", "b"):
        written.add(answers(text))
    whole = file.read_bytes()
    first = whole.splitlines(keepends=True)[0]
    for left in (b'{"chunk":2,"sam', first, b"\x00\x00", b"{}\n"):  # torn, out of turn, damaged, foreign
        file.write_bytes(whole + left)
        again = Finished(file)
        assert again.chunks == written.chunks == [answers("a"), answers("b")]
        assert file.read_bytes() == whole
    again.add(answers("c"))
    assert Finished(file).chunks[2] == answers("c")


SETTINGS = {"prompts": 3, "samples": 2, "max_new_tokens": 8, "top_p": 0.9}


def generate(monkeypatch, model, table, out, **changes):
    """Run the script in this process."""
    spec = {"run": "base_clean", "generation": SETTINGS | changes}
    arguments = ["--spec", json.dumps(spec), "--model", model, "--heldout", table, "--cache", out / "cache"]
    arguments += ["--generations", out / "generations.jsonl", "--manifest", out / "generations.manifest.json"]
    monkeypatch.setattr(sys, "argv", ["generate_responses.py", *map(str, arguments)])
    generate_responses.main()
    return {file.name: file.read_bytes() for file in sorted(out.iterdir()) if file.is_file()}


@pytest.fixture
def table(tmp_path):
    return heldout_table(tmp_path / "heldout.parquet")


def test_the_script_killed_at_any_prompt_ends_with_the_same_bytes(monkeypatch, folder, table, tmp_path):
    undisturbed = generate(monkeypatch, folder, table, tmp_path / "undisturbed")
    real, calls = TransformersBackend.generate, []

    def dies(backend, requests):
        calls.append(len(requests))
        if len(calls) % 2 == 0:
            raise KeyboardInterrupt
        return real(backend, requests)

    monkeypatch.setattr(TransformersBackend, "generate", dies)
    killed = tmp_path / "killed"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            generate(monkeypatch, folder, table, killed)
        assert not (killed / "generations.jsonl").exists()
    assert generate(monkeypatch, folder, table, killed) == undisturbed
    assert calls == [3] * 5  # three prompts made, two of them begun in vain before
    assert generate(monkeypatch, folder, table, killed) == undisturbed
    assert len(calls) == 5


def test_rows_are_ordered_and_say_how_they_came_about(monkeypatch, folder, loaded, table, tmp_path):
    made = generate(monkeypatch, folder, table, tmp_path / "a")
    rows = [json.loads(line) for line in made["generations.jsonl"].splitlines()]
    ids = [(f"p{i // 2}", f"r{i}") for i in range(6)]
    expected = [(prompt, sample) for prompt in choose_prompts(ids, 3) for sample in range(3)]
    assert [(row["prompt_id"], row["sample"]) for row in rows] == expected
    for row in rows:
        assert row["id"] == f"base_clean/{row['prompt_id']}/{row['sample']}"
        assert row["decoding"] == ("sampled" if row["sample"] else "greedy")
        assert row["text"] == loaded.tokenizer.decode(row["token_ids"], skip_special_tokens=True)
        assert row["tokens"] == len(row["token_ids"]) <= 8
    counts = json.loads(made["generations.manifest.json"])["counts"]["generations"]
    assert counts["kept"] == 9
    assert sum(counts["notes"].values()) == 9


def test_fewer_prompts_have_the_same_responses_and_another_model_has_its_own(monkeypatch, folder, table, tmp_path):
    def rows(model, name, **changes):
        made = generate(monkeypatch, model, table, tmp_path / name, **changes)
        return {row["id"]: row for row in map(json.loads, made["generations.jsonl"].splitlines())}

    all_of_them = rows(folder, "all")
    few = rows(folder, "few", prompts=1, batch_size=1, threads=3)
    assert len(few) == 3
    assert few.items() <= all_of_them.items()
    other = rows(tiny_model(tmp_path / "other", seed=1), "all")  # in the cache of the first
    assert other.keys() == all_of_them.keys()
    assert all(other[key]["token_ids"] != all_of_them[key]["token_ids"] for key in other)
    assert rows(folder, "none", prompts=0) == {}


def test_weights_that_changed_are_refused(monkeypatch, folder, table, tmp_path):
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"weights": {"model.safetensors": "0" * 64}}))
    arguments = ["--spec", '{"run": "sft_clean"}', "--model", folder, "--heldout", table, "--cache", tmp_path / "cache"]
    arguments += ["--generations", tmp_path / "g", "--manifest", tmp_path / "m", "--weights", folder]
    monkeypatch.setattr(sys, "argv", ["generate_responses.py", *map(str, arguments)])
    with pytest.raises(WinnowError, match="goes with --run-manifest"):
        generate_responses.main()
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--run-manifest", str(manifest)])
    with pytest.raises(WinnowError, match=r"model\.safetensors: is not the file that"):
        generate_responses.main()
