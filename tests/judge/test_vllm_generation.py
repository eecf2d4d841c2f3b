"""Responses by a real vLLM engine on a CPU, by the script, against transformers on the same tiny model."""

import json
import subprocess

from evaluation_fixtures import heldout_table
from winnow.core.config.runs import Generation
from winnow.core.ids import canonical_json
from winnow.generation.generate import requests_of
from winnow.generation.prompts import read_prompts
from winnow.generation.transformers_backend import TransformersBackend
from winnow.models.inference import device_for, load_model
from workflow import ROOT

SETTINGS = {"prompts": 3, "samples": 2, "max_new_tokens": 24, "top_p": 0.9}


def test_greedy_responses_of_both_engines_are_equal_and_a_finished_job_starts_none(
    judge_environment, tiny_judge_model, tmp_path
):
    table, out = heldout_table(tmp_path / "heldout.parquet"), tmp_path / "generations.jsonl"
    spec = canonical_json({"run": "base_clean", "generation": SETTINGS | {"backend": "vllm"}})
    command = [judge_environment / "bin" / "python", "workflow_scripts/generate_responses.py", "--spec", spec]
    command += ["--model", tiny_judge_model, "--heldout", table, "--cache", tmp_path / "cache"]
    command += ["--generations", out, "--manifest", tmp_path / "generations.manifest.json"]

    def generate():
        done = subprocess.run(
            list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stderr, out.read_bytes()

    log, first = generate()
    assert "starting vllm" in log
    rows = [json.loads(line) for line in first.splitlines()]
    assert len(rows) == 9

    loaded = load_model(tiny_judge_model, None, device_for(0))
    settings = Generation(**SETTINGS)
    prompts = read_prompts(table, loaded.tokenizer, 3)
    asked = [request for prompt in prompts for request in requests_of(prompt, settings)]
    made = TransformersBackend(loaded, settings).generate(asked)
    for row, request, sample in zip(rows, asked, made, strict=True):
        assert row["text"] == loaded.tokenizer.decode(row["token_ids"], skip_special_tokens=True)
        assert (row["decoding"] == "greedy") == (request.seed is None)
        if request.seed is None:
            assert (tuple(row["token_ids"]), row["text"]) == (sample.token_ids, sample.text)
            assert row["stop_reason"] == sample.stop_reason
    assert (
        len({tuple(row["token_ids"]) for row in rows}) == 9
    )  # drawn with seeds of their own, from the greedy one apart

    out.unlink()
    log, again = generate()
    assert "starting vllm" not in log
    assert again == first
