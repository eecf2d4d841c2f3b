"""Studies and site settings: what is accepted, and what a mistake is told."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from winnow.core.config.studies import ResolvedStudy, Site, schema_files
from winnow.core.errors import WinnowError
from winnow.core.ids import canonical_json
from winnow.core.study import load_site, load_study, parse, read_yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path):
    """A checkout's studies and recipes, to be spoilt."""
    for folder in ("studies", "recipes"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def load(checkout, **changes):
    """Load a study that extends demo with some changes."""
    file = checkout / "studies" / "changed.yaml"
    file.write_text(yaml.safe_dump({"extends": "demo", "study": "changed", **changes}))
    return load_study(file, Site(), checkout)


def message(checkout, **changes):
    with pytest.raises(WinnowError) as caught:
        load(checkout, **changes)
    return str(caught.value)


def test_schemas_are_in_step_with_the_types():
    for file, schema in schema_files(ROOT / "schemas").items():
        assert json.loads(file.read_text()) == schema, f"run `make schemas`: {file.name}"


@pytest.mark.parametrize("file", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_study_resolves_and_survives_a_round_trip(file):
    study = load_study(file, load_site(read_yaml(ROOT / "config.yaml")), ROOT)
    assert parse(ResolvedStudy, json.loads(canonical_json(study.model_dump(mode="json"))), "saved") == study


@pytest.mark.parametrize(
    ("changes", "place", "near"),
    [
        ({"signall": {}}, "key signall", "'signal'"),
        ({"corpora": {"papers": {"paper": 3}}}, "key corpora.papers.paper", "'papers'"),
        ({"datasets": {"sft": {"fraktion": 0.1}}}, "key datasets.sft.fraktion", "'fraction'"),
        ({"signal": {"shard": 2}}, "key signal.shard", "'shards'"),
        ({"models": {"text": {"tiny": {"layer": 2}}}}, "key models.text.tiny.layer", "'layers'"),
        ({"runs": {"sft_{modality}": {"recpe": "x"}}}, "key runs.sft_{modality}.recpe", "'recipe'"),
        ({"modalities": {"clean": {"contxt": 2}}}, "key modalities.clean.contxt", "'context'"),
        ({"evaluation": {"generation": {"sample": 2}}}, "key evaluation.generation.sample", "'samples'"),
    ],
)
def test_an_unknown_key_is_refused_at_every_level(checkout, changes, place, near):
    said = message(checkout, **changes)
    assert "changed.yaml" in said
    assert f"{place}: unknown key; did you mean {near}?" in said
    assert "allowed: " in said


def test_a_wrong_value_is_shown_with_what_is_allowed(checkout):
    assert "key datasets.sft.fraction: Input should be less than or equal to 1 (found 3)" in message(
        checkout, datasets={"sft": {"fraction": 3}}
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"datasets": {"sft": {"corpus": "paper"}}}, "did you mean 'papers'?"),
        ({"modalities": {"clean": {"model": "txt"}}}, "did you mean 'text'?"),
        ({"runs": {"dpo_{modality}": {"parent": "sft_claen"}}}, "did you mean 'sft_clean'?"),
        ({"runs": {"dpo_{modality}": {"dataset": "sft"}}}, "'sft' is not a dpo dataset"),
        ({"runs": {"dpo_{modality}": {"overrides": {"betta": 1}}}}, "did you mean 'beta'?"),
        ({"runs": {"sft_{modality}": {"parent": "dpo_clean-beta0.1"}}}, "goes round"),
        ({"runs": {"sft_{modality}": {"recipe": "recipes/sft_tny.yaml"}}}, "did you mean"),
        ({"modalities": {"clean": {"response_tokens": 9999}}}, "leaves no room for a prompt"),
    ],
)
def test_a_name_that_nothing_defines_is_refused(checkout, changes, said):
    assert said in message(checkout, **changes)


@pytest.mark.parametrize(
    ("modality", "key", "value"),
    [
        ("clean", "max_pixels", 250_880),
        ("clean", "min_pixels", 196),
        ("clean", "max_images", 4),
        ("clean", "with_text", False),
        ("clean_images", "with_text", True),
    ],
)
def test_a_key_on_images_that_would_do_nothing_is_refused(checkout, modality, key, value):
    said = message(checkout, modalities={modality: {"model": "text", key: value}})
    assert f"changed.yaml, key modalities.{modality}.{key}: changes nothing" in said


def test_an_engine_that_cannot_show_images_is_refused_before_any_job(checkout):
    vllm = {"generation": {"backend": "vllm"}}
    said = message(checkout, evaluation=vllm)
    assert "vllm answers prompts of text alone here, and clean_images shows images" in said
    assert "backends: {clean_images: transformers}" in said
    vllm["generation"]["backends"] = {"clean_images": "transformers", "vision": "transformers"}
    generation = load(checkout, evaluation=vllm).evaluation.generation
    assert [generation.of(name).backend for name in ("clean", "vision")] == ["vllm", "transformers"]
    unknown = {"generation": {"backends": {"vision": "vllm"}}}
    assert "'vision' is not defined" in message(checkout, modalities={"vision": None}, evaluation=unknown)
    assert "backend transformers uses one" in message(checkout, evaluation={"generation": {"gpu": 2}})


def test_modalities_that_show_images_have_the_published_sizes(checkout):
    plain = {"model": "vision", "max_pixels": None, "max_images": None}  # null: as if demo did not set them
    study = load(checkout, modalities={"clean_images": plain, "vision": plain})
    shown = [study.modalities[name] for name in ("clean_images", "vision")]
    assert {(m.max_pixels, m.min_pixels, m.max_images, m.with_text) for m in shown} == {(250_880, 196, 10, False)}
    assert study.same_rows
    assert not load(checkout, same_rows=False).same_rows
    with_text = load(checkout, modalities={"vision": {"model": "text", "with_text": True, "max_images": 3}})
    assert (with_text.modalities["vision"].with_text, with_text.modalities["vision"].max_images) == (True, 3)


def test_the_smallest_image_is_not_above_the_largest(checkout):
    said = message(checkout, modalities={"vision": {"model": "text", "max_pixels": 100}})
    assert "key modalities.vision: min_pixels 196 is above max_pixels 100" in said


@pytest.mark.parametrize(
    ("excludes", "said"),
    [
        ({"one": ["papres"]}, "key corpora.one.exclude: 'papres' is not defined\n  fix: did you mean 'papers'?"),
        ({"one": ["one"]}, "key corpora.one.exclude: goes round: one → one"),
        ({"one": ["papers", "two"], "two": ["three"], "three": ["one"]}, "goes round: one → two → three → one"),
    ],
)
def test_corpora_that_exclude_nothing_known_or_themselves_are_refused(checkout, excludes, said):
    assert said in message(checkout, corpora={name: {"adapter": "demo", "exclude": e} for name, e in excludes.items()})


def test_a_corpus_may_exclude_what_others_exclude_too(checkout):
    demo = {"adapter": "demo"}
    study = load(
        checkout, corpora={"one": demo | {"exclude": ["papers"]}, "two": demo | {"exclude": ["one", "papers"]}}
    )
    assert study.corpora["two"].exclude == ("one", "papers")


def test_a_sweep_becomes_runs_with_merged_recipes(checkout):
    study = load(checkout, runs={"dpo_{modality}": {"sweep": {"beta": [0.1, 0.5], "seed": [1, 2]}}})
    names = [name for name in study.runs if name.startswith("dpo_clean-") and "seed" in name]
    assert names == [
        "dpo_clean-beta0.1-seed1",
        "dpo_clean-beta0.1-seed2",
        "dpo_clean-beta0.5-seed1",
        "dpo_clean-beta0.5-seed2",
    ]
    run = study.runs["dpo_clean-beta0.5-seed2"]
    assert (run.recipe["beta"], run.seed, run.parent) == (0.5, 2, "sft_clean")
    assert "seed" not in run.recipe


def test_runs_have_the_image_sizes_of_their_modality(checkout):
    models = {"text": {"tiny": {}}, "vision": {"tiny": {"vision": {}}}}
    shown = {"model": "vision", "max_pixels": 3136, "min_pixels": 784}
    study = load(checkout, models=models, modalities={"clean": {"model": "text"}, "vision": shown})
    assert study.runs["sft_vision"].pixels == {"max_pixels": 3136, "min_pixels": 784}
    assert study.runs["sft_clean"].pixels == {}
    assert study.runs["sft_clean"].max_pixels is None
    assert study.models["vision"].tiny.vision.hidden_size == 32


def test_a_sweep_over_words_lists_and_nothing_names_its_runs(checkout):
    sft = {"loss_normalization": ["per_token", "token_global"], "train_rows": [128, None], "packing": [True]}
    study = load(
        checkout,
        runs={
            "sft_{modality}": {"sweep": sft},
            "dpo_{modality}": {"parent": None, "sweep": {"beta": None, "loss_type": [["ipo"], ["sigmoid", "sft"]]}},
            "dpo_clean": None,  # of demo, on a run that is swept here
        },
        modalities={"clean_images": None, "vision": None},
    )
    assert sorted(name for name in study.runs if "lora" not in name) == [
        "dpo_clean-loss_type_ipo",
        "dpo_clean-loss_type_sigmoid_sft",
        "sft_clean-loss_normalization_per_token-packing_true-train_rows128",
        "sft_clean-loss_normalization_per_token-packing_true-train_rows_null",
        "sft_clean-loss_normalization_token_global-packing_true-train_rows128",
        "sft_clean-loss_normalization_token_global-packing_true-train_rows_null",
    ]
    assert study.runs["dpo_clean-loss_type_sigmoid_sft"].recipe["loss_type"] == ["sigmoid", "sft"]
    assert (
        study.runs["sft_clean-loss_normalization_per_token-packing_true-train_rows_null"].recipe["train_rows"] is None
    )


def test_packed_rows_are_as_long_as_the_modality_allows(checkout):
    runs = load(checkout, runs={"sft_{modality}": {"overrides": {"packing": True}}}).runs
    assert (runs["sft_clean"].pack_to, runs["sft_lora_clean"].pack_to) == (1024, None)


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ({"beta": []}, "must be a list of at least one value"),
        ({"beta": [{"a": 1}]}, "must be a list of at least one value"),
        ({"lr_scheduler_type": ["../x"]}, "must be a list of at least one value"),
        ({"seed": ["one"]}, "a seed: a whole number"),
        ({"beta": [0.1, 0.10000001]}, "makes two runs of the name dpo_clean-beta0.1"),
    ],
)
def test_a_sweep_that_names_no_runs_is_refused(checkout, sweep, said):
    runs = {"dpo_{modality}": {"sweep": {"beta": [0.1], **sweep}}}
    assert said in message(checkout, runs=runs, modalities={"clean_images": None, "vision": None})


def test_extending_changes_keys_and_null_removes_them(checkout):
    study = load(checkout, models={"text": {"tiny": None, "name": "some/model"}}, exports=[])
    assert study.models["text"].tiny is None
    assert study.models["text"].name == "some/model"
    assert study.exports == ()
    assert (
        study.corpora["papers"].papers
        == load_study(checkout / "studies/demo.yaml", Site(), checkout).corpora["papers"].papers
    )


def test_a_study_that_extends_itself_is_refused(checkout):
    (checkout / "studies" / "demo.yaml").write_text("extends: changed\n")
    assert "extends itself: changed → demo → changed" in message(checkout)


@pytest.mark.parametrize("key", ["api_key", "hf_token", "password"])
def test_secrets_are_refused_without_being_repeated(checkout, key):
    said = message(checkout, signal={"judge": {key: "tr0ub4dor"}})
    assert f"signal.judge.{key}" in said
    assert "looks like a secret" in said
    assert "tr0ub4dor" not in said


def test_a_secret_value_is_refused_under_any_key(checkout):
    value = "hf_" + "a" * 30
    said = message(checkout, description=value)
    assert "looks like a secret" in said
    assert value not in said


def test_a_key_given_twice_is_refused(tmp_path):
    file = tmp_path / "twice.yaml"
    file.write_text("a: 1\na: 2\n")
    with pytest.raises(WinnowError, match="'a' occurs twice"):
        read_yaml(file)


def test_a_mapping_may_be_merged_into_another_whose_own_keys_stay(tmp_path):
    file = tmp_path / "merged.yaml"
    file.write_text("one: &one {a: 1, b: 2}\ntwo: {<<: *one, b: 3}\n")
    assert read_yaml(file)["two"] == {"a": 1, "b": 3}
    file.write_text("one: &one {a: 1}\ntwo: {<<: *one, b: 3, b: 4}\n")
    with pytest.raises(WinnowError, match="'b' occurs twice"):
        read_yaml(file)


def test_a_missing_study_names_the_nearest(checkout):
    with pytest.raises(WinnowError, match=r"did you mean demo\.yaml"):
        read_yaml(checkout / "studies" / "dmo.yaml")


def test_the_site_says_what_is_wrong():
    with pytest.raises(WinnowError, match="did you mean 'data_root'"):
        load_site({"dataroot": "x"})
    assert load_site({"studies": "demo,peer_review"}).studies == ("demo", "peer_review")


def test_published_settings_of_the_main_study():
    """What the published study trained with."""
    study = load_study(ROOT / "studies" / "peer_review.yaml", Site(), ROOT)
    sft, dpo = study.runs["sft_clean"], study.runs["dpo_clean-beta0.1"]
    assert (sft.recipe["learning_rate"], sft.recipe["num_train_epochs"]) == (1e-5, 3)
    assert (dpo.recipe["learning_rate"], dpo.recipe["num_train_epochs"]) == (5e-6, 2)
    assert (dpo.recipe["beta"], dpo.recipe["loss_type"], dpo.parent) == (0.1, ["sigmoid"], "sft_clean")
    assert {sft.recipe["effective_batch_size"], dpo.recipe["effective_batch_size"]} == {16}
    assert {sft.gpu, dpo.gpu, sft.processes, dpo.processes} == {8}
    assert {sft.recipe["deepspeed"], dpo.recipe["deepspeed"]} == {"resources/deepspeed/zero3.json"}
    assert study.datasets["sft"].fraction == 0.2
