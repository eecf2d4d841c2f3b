"""Cards say what manifests say, in the hub's form, and a broken lineage is found wherever it breaks."""

import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard

from report_fixtures import make_results
from winnow.core.config.studies import Study
from winnow.core.errors import WinnowError
from winnow.core.files import read_json, write_json
from winnow.core.ids import canonical_json, sha256_text
from winnow.reporting.cards import dataset_card, model_card
from winnow.reporting.lineage import _made, _named, _nearest, lineage
from winnow.reporting.sources import Results

SHA = "aa8e72537993ba99e69dfaafa59ed015b17504d1"
RUN = "dpo_clean-beta0.05"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "demo"


@pytest.fixture
def study(root):
    return make_results(root)


def changed(study, **changes):
    """Return the study with keys of its settings set: a__b=value sets a.b."""
    settings = study.model_dump(mode="json")
    for path, value in changes.items():
        *parents, last = path.split("__")
        here = settings
        for key in parents:
            here = here[key]
        here[last] = value
    return type(study).model_validate(settings)


def edit(file, *keys, value):
    content = read_json(file)
    here = content
    for key in keys[:-1]:
        here = here[key]
    here[keys[-1]] = value
    write_json(file, content)


def test_a_model_card_has_the_hubs_keys(root, study):
    card = ModelCard(model_card(Results(root), study, RUN))
    assert card.data.license == "unknown"
    assert card.data.library_name == "transformers"
    assert card.data.datasets == ["demo_dpo_clean"]
    assert {"winnow", "dpo", "clean", "synthetic"} == set(card.data.tags)
    assert not card.data.base_model  # one that was built here is on no hub


def test_a_model_of_the_hub_is_named_with_its_commit(root, study):
    hub = {"kind": "hub", "source": "Qwen/Qwen2.5-3B-Instruct", "revision": SHA}
    edit(root / "models/text/manifest.json", "model", value=hub)
    text = model_card(Results(root), changed(study, models__text={"name": hub["source"]}, license="apache-2.0"), RUN)
    card = ModelCard(text)
    assert card.data.base_model == ["Qwen/Qwen2.5-3B-Instruct"]
    assert card.data.license == "apache-2.0"
    assert f"Qwen/Qwen2.5-3B-Instruct at commit {SHA}" in text
    assert "tiny" not in text
    assert "under which licence" not in text
    assert ["synthetic" in text, "Nobody has said" in text] == [True, False]


def test_a_model_card_names_what_it_was_made_from(root, study):
    text = model_card(Results(root), study, RUN)
    manifest = read_json(root / f"runs/{RUN}/manifest.json")
    for part in (
        "is synthetic, made by a seeded generator",
        "The base model is tiny and random",
        f"| train | 35 | `{manifest['inputs']['train']}` |",
        "| starts from | the finished model of run `sft_clean` |",
        "beta: 0.05",
        "- `displacement` at step 40: −0.120, threshold −0.100",
        "- `model.safetensors`: `" + "c" * 64,
        "Few rows: 35 to train on, 4 to measure on",
        "has the higher rating",
        "which licence",
        "1 random seed",
    ):
        assert part in text, part
    assert "Broken" not in text
    assert "None was raised." in model_card(Results(root), study, "sft_clean")
    assert "as a LoRA adapter that was merged" in model_card(Results(root), study, "sft_lora_clean")


def test_a_model_that_is_not_the_last_one_says_so(root, study):
    file = root / f"runs/{RUN}/manifest.json"
    assert "| weights are those of step | 40 |" in model_card(Results(root), study, RUN)
    for key, value in (("planned_steps", 60), ("stopped_early", True), ("selected_step", 24)):
        edit(file, key, value=value)
    text = model_card(Results(root), study, RUN)
    assert "| steps | 40 of 60 planned, stopped early |" in text
    assert "| weights are those of step | 24 (the best on validation rows) |" in text


def test_every_measurement_has_its_n_and_the_untrained_model_beside_it(root, study):
    text = model_card(Results(root), study, RUN)
    lines = text.split("## Results")[1].split("In brackets")[0].splitlines()
    rows = [line for line in lines if line.startswith("|")][2:]
    metrics = read_json(root / f"evaluation/heldout/{RUN}/metrics.json")
    base = read_json(root / "evaluation/heldout/base_clean/metrics.json")
    assert len(rows) == 4
    assert all("(n = " in row for row in rows)
    loss = next(row for row in rows if "loss" in row)
    assert f"n = {metrics['heldout']['n']} " in loss
    assert loss.index(f"{metrics['heldout']['loss']:.3f}") < loss.index(f"{base['heldout']['loss']:.3f}")


def test_measurements_of_other_weights_are_said(root, study):
    edit(root / f"evaluation/heldout/{RUN}/metrics.json", "weights", value={"model.safetensors": "f" * 64})
    assert "The measurements are of other weights" in model_card(Results(root), study, RUN)


def test_a_card_without_its_manifest_is_not_written(root, study):
    (root / f"runs/{RUN}/manifest.json").unlink()
    with pytest.raises(WinnowError, match=r"manifest\.json: is not there, and a card needs it"):
        model_card(Results(root), study, RUN)


def test_a_dataset_card_has_the_hubs_keys(root, study):
    card = DatasetCard(dataset_card(Results(root), study, "sft", "clean"))
    assert card.data.license == "unknown"
    assert card.data.task_categories == ["text-generation"]
    assert card.data.size_categories == ["n<1K"]
    assert "synthetic" in card.data.tags


def test_a_dataset_card_says_where_rows_went(root, study):
    text = dataset_card(Results(root), study, "dpo", "clean")
    for part in (
        "| ingest, corpus/papers | responses | 621 | 240 |",
        "| pair_responses, datasets/dpo | pairs |",
        "same_<b>text</b> 1",
        "| render_dataset, datasets/dpo/clean | train | 36 | 35 | prompt_over_budget 1 |",
        f"| train | 35 | `train.parquet` | `{'b' * 64}` |",
        "3 rules, recomputed from source rows: none failed.",
        "- C9, what else the choice favours: **warn**",
        "Few rows in val: 4.",
        "least 2 more checkmarks",
    ):
        assert part in text, part
    assert "datasets/sft" not in text


def test_a_failed_rule_is_not_hidden(root, study):
    rules = [{"id": "C2", "name": "one split", "status": "fail", "checked": 9, "failures": 1}]
    write_json(root / "datasets/dpo/clean/validation.json", {"ok": False, "rules": rules})
    assert "**failed: C2**" in dataset_card(Results(root), study, "dpo", "clean")


def test_cards_are_made_of_settings_and_counts_alone(root, study):
    """Texts of a corpus never reach a card, and front matter cannot be broken out of."""
    evil = changed(study, description="x\n---\nlicense: mit\n---")
    for text in (model_card(Results(root), evil, RUN), dataset_card(Results(root), evil, "sft", "clean")):
        front = yaml.safe_load(text.split("---\n")[1])
        assert front["license"] == "unknown"
        assert "<script>" not in text
    with pytest.raises(ValueError, match="license"):
        Study.model_validate({"license": "mit\ntags: [evil]"})


def test_an_unbroken_lineage_ends_at_what_came_from_outside(root, study):
    found = lineage(Results(root), study, RUN)
    assert found.gaps == []
    assert found.manifests[0] == f"runs/{RUN}/manifest.json"


BREAKS = {
    "a row that nobody rendered": (f"runs/{RUN}/manifest.json", ("inputs", "train")),
    "a table that nobody made": ("datasets/dpo/choose.manifest.json", ("inputs", "source")),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_planted_break_is_found_and_told(root, study, what):
    name, keys = BREAKS[what]
    # The fixture's chain is one hash, so the walk is made to reach that step.
    edit(root / name, *keys, value="9" * 64)
    edit(root / name, "outputs", "table", value="7" * 64)
    edit(root / f"runs/{RUN}/manifest.json", "inputs", "val", value="7" * 64)
    found = lineage(Results(root), study, RUN)
    assert any(name in gap and "9" * 16 in gap for gap in found.gaps)
    assert "**Broken:** " in model_card(Results(root), study, RUN)


def test_a_missing_manifest_is_a_gap(root, study):
    (root / "runs/sft_lora_clean/merge.json").unlink()
    (gap,) = lineage(Results(root), study, "sft_lora_clean").gaps
    assert gap == "runs/sft_lora_clean/merge.json: there is no such file"


def test_a_run_must_be_what_its_identity_says(root, study):
    file = root / f"runs/{RUN}/manifest.json"
    edit(file, "made_from", "code", value={"train_dpo.py": "0" * 64})
    (gap,) = lineage(Results(root), study, RUN).gaps
    assert "is not what its identity is the hash of" in gap
    edit(file, "made_from", value=None)
    (gap,) = lineage(Results(root), study, RUN).gaps
    assert "does not say what the run was made from" in gap


def test_what_comes_from_outside_is_listed(root, study):
    model = {"kind": "hub", "source": "owner/model", "revision": SHA}
    edit(root / "models/text/manifest.json", "model", value=model)
    edit(root / "models/text/manifest.json", "outputs", value={"tokenizer.json": "1" * 64})
    made_from = {"data": {}, "model": {"tokenizer.json": "1" * 64}, "code": {}, "files": {"zero3.json": "2" * 64}}
    file = root / f"runs/{RUN}/manifest.json"
    edit(file, "made_from", value=made_from)
    edit(file, "run", "identity", value=sha256_text(canonical_json(made_from))[:16])
    edit(root / "corpus/papers/ingest.manifest.json", "inputs", value={"papers.jsonl.gz": "3" * 64})
    found = lineage(Results(root), study, RUN)
    assert found.gaps == []
    raw = {(one.step, one.name): one.sha256 for one in found.raw}
    assert raw["prepare_model", "owner/model"] == SHA
    assert raw["train_dpo", "files/zero3.json"] == "2" * 64
    assert raw["ingest", "papers.jsonl.gz"] == "3" * 64


def test_of_steps_that_made_equal_bytes_the_nearest_is_meant(root, study):
    """Every hash of the fixture is the same, so that each step could have been made by any."""
    found = lineage(Results(root), study, RUN)
    assert found.manifests == [f"runs/{RUN}/manifest.json"]
    assert _nearest(["datasets/dpo/clean/a.json", "datasets/sft/clean/a.json"], "datasets/sft/vision/b.json") == (
        "datasets/sft/clean/a.json"
    )


def test_a_model_that_answered_is_followed_back_and_not_taken_for_the_answers_own(tmp_path):
    """A training's manifest names the weights that it made; that of a mined dataset's answers those that it read."""
    weights = {"outputs": {"generations": "said"}, "weights": {"model.safetensors": "run"}}
    asked, trained = weights | {"step": "generate_responses"}, weights | {"step": "train_sft"}
    assert dict(_named(asked)) == {"weights/model.safetensors": "run"}
    assert list(_made(Results(tmp_path), "absent.json", asked)) == ["said"]
    assert list(_made(Results(tmp_path), "absent.json", trained)) == ["said", "run"]
