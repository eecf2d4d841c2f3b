"""`validate.py`, the command by which a person validates a finished study again."""

import json
import shutil

import pytest

import datasets_fixtures as made
from winnow.core.errors import WinnowError


def study(checklist):
    policies = {"sft": dict(made.SFT_SPEC), "dpo": dict(made.DPO_SPEC)}
    for policy in policies.values():
        policy.pop("min_answered")
    corpus = {"adapter": "demo", "prompt_fields": made.BUDGET["prompt_fields"], "min_prompt_chars": 200}
    budget = {name: made.BUDGET[name] for name in ("context", "response_tokens")}
    return {
        "study": "demo",
        "description": "",
        "license": "",
        "corpora": {"papers": corpus},
        "signal": {"kind": "checklist", "checklist": str(checklist), "judge": {"backend": "lexical"}},
        "datasets": policies,
        "modalities": {"clean": {"model": "text"} | budget},
        "models": {"text": {"tiny": {}}},
        "runs": {},
        "evaluation": {},
        "exports": [],
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """results/demo as the workflow lays it out, as far as datasets go."""
    results = tmp_path_factory.mktemp("results") / "demo"
    paths = made.Corpus(results / "corpus" / "papers", prompts=20).write()
    (results / "scores").mkdir()
    scores = paths["scores"].rename(results / "scores" / "review_evaluations.jsonl")
    paths = paths | {"scores": scores}
    model = made.make_tokenizer(results / "models" / "text")
    for stage in ("sft", "dpo"):
        folder = results / "datasets" / stage
        made.render(stage, paths, made.choose(stage, paths, folder)["chosen"], model, folder / "clean")
    (results / "study.json").write_text(json.dumps(study(paths["checklist"])))
    return results


def test_every_dataset_is_validated_and_a_table_printed(finished, capsys):
    before = sorted(finished.rglob("*"))
    made.run_script("validate", results=finished, stage="all")
    printed = capsys.readouterr().out
    assert "sft/clean: ok" in printed
    assert "dpo/clean: ok" in printed
    assert "exactly the best fraction is chosen" in printed
    assert sorted(finished.rglob("*")) == before


def test_one_stage_alone(finished, capsys):
    made.run_script("validate", results=finished, stage="dpo")
    printed = capsys.readouterr().out
    assert "dpo/clean: ok" in printed
    assert "sft/clean" not in printed


def test_a_fault_is_named_with_its_dataset(finished, tmp_path, capsys):
    copy = shutil.copytree(finished, tmp_path / "demo")
    shutil.copy(
        copy / "datasets" / "sft" / "clean" / "train.parquet", copy / "datasets" / "sft" / "clean" / "val.parquet"
    )
    with pytest.raises(WinnowError, match=r"sft/clean C2") as error:
        made.run_script("validate", results=copy, stage="all")
    assert "dpo/clean" not in str(error.value)
    assert "sft/clean: FAILED" in capsys.readouterr().out


def test_a_folder_without_a_study_or_without_datasets_is_an_error(finished, tmp_path):
    with pytest.raises(WinnowError, match=r"study\.json: there is no such file"):
        made.run_script("validate", results=tmp_path, stage="all")
    shutil.copy(finished / "study.json", tmp_path)
    with pytest.raises(WinnowError, match="holds no rendered datasets of stage sft"):
        made.run_script("validate", results=tmp_path, stage="sft")
