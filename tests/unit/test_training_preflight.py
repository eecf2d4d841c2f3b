"""Preflight: everything that is wrong is told at once, before a trainer starts."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from training import fixtures, labelled
from winnow.core.base_model import read_base_model
from winnow.core.config.models import Model, TinyModel, TinyVision
from winnow.core.config.studies import Gpus
from winnow.core.files import read_json, write_json
from winnow.core.tables import RENDERED_SFT, read_rows, write_table
from winnow.training.architecture import read_architecture
from winnow.training.arguments import read_trackers
from winnow.training.base_models import prepare_model
from winnow.training.loading import load_model
from winnow.training.preflight import preflight
from winnow.training.work import forward


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("preflight")
    tiny = TinyModel(vocab_size=400, hidden_size=16, layers=1, heads=2, kv_heads=1, max_position_embeddings=256)
    prepare_model(Model(tiny=tiny), fixtures.write_texts(root / "corpus"), root / "model")
    for stage in ("sft", "dpo"):
        fixtures.write_rows(root / stage, stage)
    write_json(root / "validation.json", {"ok": True})
    return root


def report(
    root: Path,
    stage: str = "sft",
    change: dict[str, Any] | None = None,
    gpus: Gpus | None = None,
    **recipe: Any,
) -> dict[str, Any]:
    return preflight(
        fixtures.make_run(stage, **recipe).model_copy(update=change or {}),
        model=root / "model",
        train=root / stage / "train.parquet",
        val=root / stage / "val.parquet",
        validation=root / "validation.json",
        gpus=gpus,
    )


def with_lengths(shared: Path, root: Path) -> Path:
    """Return a copy of the fixture whose rows say how long they are: 100 tokens of prompt, 20 of response."""
    copy = Path(shutil.copytree(shared, root))
    for name, count in (("train", 14), ("val", 5)):
        blank = dict.fromkeys(RENDERED_SFT.names) | {"prompt_tokens": 100, "completion_tokens": 20}
        rows = [blank | {"response_id": f"{name}{index:03}"} for index in range(count)]
        write_table(copy / "sft" / f"{name}.parquet", rows, RENDERED_SFT, ["response_id"])
    return copy


def test_a_sound_run_passes(shared: Path) -> None:
    found = report(shared)
    assert found["ok"]
    assert found["problems"] == []
    assert found["rows"] == {"train": 14, "val": 5}
    assert found["steps"] == {
        "accumulation": 2,
        "steps_per_epoch": 4,
        "total_steps": 6,
        "eval_steps": 3,
        "save_steps": 2,
        "repeated": 0,
    }
    assert found["reference"] is None


def test_what_a_run_will_take_is_told(shared: Path, tmp_path: Path) -> None:
    told = report(with_lengths(shared, tmp_path / "told"))["estimate"]
    assert told["tokens"] == {"epoch": 14 * 120, "longest": 120}
    loaded = load_model(read_base_model(shared / "model"), dtype="float32", attention=None)
    assert told["parameters"] == {"total": loaded.num_parameters(), "trained": loaded.num_parameters()}
    assert told["flops"]["model"] > told["flops"]["training"] > 0
    assert told["seconds"] is None
    assert list(told["unknown"]) == ["time"]
    assert "how many tokens" in report(shared)["estimate"]["unknown"]["everything else"]


def test_a_run_that_cannot_fit_is_refused_by_name(shared: Path, tmp_path: Path) -> None:
    root, on_gpu = with_lengths(shared, tmp_path / "small"), {"gpu": 1}
    assert report(root, change=on_gpu, gpus=Gpus(memory_gb=80))["ok"]
    found = report(root, change=on_gpu, gpus=Gpus(memory_gb=0.5))
    assert not found["ok"]
    assert "on each GPU" in found["problems"][0]
    assert "gpus.memory_gb" in found["problems"][0]
    assert found["estimate"]["memory_gb"]["total"] > 0.5


def test_an_adapter_on_a_matrix_that_is_not_there_is_refused(shared: Path) -> None:
    """PEFT takes the names that fit and passes over the others in silence."""
    found = report(shared, **fixtures.LORA | {"lora_target_modules": ["q_proj", "vproj"]})
    assert "lora_target_modules: 'vproj' names no matrix of the model" in found["problems"][0]
    assert report(shared, **fixtures.LORA)["ok"]


def test_dpo_names_its_reference(shared: Path) -> None:
    assert report(shared, "dpo")["reference"] == "base model text"
    assert report(shared, "dpo", {"parent": "sft_clean"})["reference"] == "run sft_clean"


def test_all_mistakes_are_told_at_once(shared: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(shared, tmp_path / "broken"))
    (root / "model" / "model.safetensors").unlink()
    write_table(root / "sft" / "val.parquet", [], RENDERED_SFT, ["response_id"])
    write_json(root / "validation.json", {"ok": False})
    found = report(root, learning_rat=1.0, max_length=5)
    assert not found["ok"]
    for part in (
        "learning_rat: is no field",
        "max_length: Winnow sets it",
        "holds no *.safetensors",
        "val.parquet: has no rows",
        "did not pass its validation",
    ):
        assert sum(part in problem for problem in found["problems"]) == 1, part


@pytest.mark.parametrize("content", [{}, {"ok": "yes"}, [], {"ok": None}])
def test_a_validation_that_does_not_say_ok_is_no_validation(shared: Path, tmp_path: Path, content: Any) -> None:
    root = Path(shutil.copytree(shared, tmp_path / "other"))
    write_json(root / "validation.json", content)
    assert "did not pass its validation" in report(root)["problems"][0]


def test_batch_must_divide(shared: Path) -> None:
    assert "6 is not a multiple of 1 processes x 4" in report(
        shared, effective_batch_size=6, per_device_train_batch_size=4
    )["problems"][0]  # fmt: skip


def test_steps_are_of_the_rows_that_are_taken(shared: Path) -> None:
    assert report(shared, train_rows=6, max_steps=-1)["steps"]["steps_per_epoch"] == 2
    assert "recipe key train_rows: is 15, " in report(shared, train_rows=15)["problems"][0]


def test_steps_are_of_packed_rows(shared: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(shared, tmp_path / "packed"))
    blank = dict.fromkeys(RENDERED_SFT.names)
    rows = [blank | {"response_id": f"r{i}", "prompt_tokens": 30, "completion_tokens": 20} for i in range(14)]
    write_table(root / "sft" / "train.parquet", rows, RENDERED_SFT, ["response_id"])
    packed = {"change": {"pack_to": 120}, "packing": True, "max_steps": -1, "num_train_epochs": 2}
    steps = report(root, **packed)["steps"]
    assert (steps["steps_per_epoch"], steps["total_steps"]) == (2, 4)  # 7 rows of two documents, four of them a step
    assert report(root, **packed, train_rows=8)["steps"]["steps_per_epoch"] == 1


def test_rows_longer_than_the_model(shared: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(shared, tmp_path / "long"))
    row = dict.fromkeys(RENDERED_SFT.names) | {"response_id": "r", "prompt_tokens": 200, "completion_tokens": 57}
    write_table(root / "sft" / "train.parquet", [row], RENDERED_SFT, ["response_id"])
    assert "has a row of 257 tokens, the model takes 256" in report(root)["problems"][0]


def test_values_that_trl_refuses(shared: Path) -> None:
    assert "TRL refuses it" in report(shared, lr_scheduler_type="triangle")["problems"][0]


def test_trackers() -> None:
    assert read_trackers("") == ()
    assert read_trackers("tensorboard") == ("tensorboard",)
    with pytest.raises(Exception, match="'mlflow' is unknown"):
        read_trackers("tensorboard,mlflow")


def test_a_recipe_that_watches_labels_which_are_not_scored_is_refused(shared: Path, tmp_path: Path) -> None:
    posts = labelled.write_posts(tmp_path, "val", 6, 3)
    run = labelled.scored(fixtures.make_run("sft", early_stopping={"metric": "macro_f1/gen", "mode": "max"}))
    places = {
        "model": shared / "model",
        "train": shared / "sft" / "train.parquet",
        "val": shared / "sft" / "val.parquet",
        "validation": shared / "validation.json",
    }
    assert preflight(run, **places, labels={"gen": posts})["ok"]
    said = preflight(run, **places, labels={"posts": posts})["problems"]
    assert [text.split(";")[0] for text in said] == [
        "recipe key early_stopping: 'macro_f1/gen' is not measured in this run"
    ]
    assert "--labels: names 0 datasets" in preflight(run, **places)["problems"][0]


def test_scoring_labels_is_a_part_of_the_estimate(shared: Path, tmp_path: Path) -> None:
    """Three measurements (before, halfway, at the end) read every prompt, for a word each."""
    root, count = with_lengths(shared, tmp_path / "told"), 7
    blank = dict.fromkeys(RENDERED_SFT.names) | {"prompt_tokens": 100, "completion_tokens": 3}
    blank |= {"prompt": [{"role": "user", "content": "a post"}], "completion": labelled.said("No")}
    rows = [blank | {"response_id": f"r{index}"} for index in range(count)]
    write_table(tmp_path / "posts.parquet", rows, RENDERED_SFT, ["response_id"])
    places = {"model": root / "model", "train": root / "sft" / "train.parquet", "val": root / "sft" / "val.parquet"}
    told = [
        preflight(run, **places, validation=root / "validation.json", labels=labels)["estimate"]["flops"]["measuring"]
        for run, labels in (
            (fixtures.make_run("sft"), {}),
            (labelled.scored(fixtures.make_run("sft")), {"posts": tmp_path / "posts.parquet"}),
        )
    ]
    sizes = read_architecture(read_json(root / "model" / "config.json"))
    assert sizes is not None
    assert told[1] - told[0] == pytest.approx(3 * count * forward(sizes, 101, 1).total, rel=0.01)


def test_images_need_a_model_that_sees(shared: Path, tmp_path: Path) -> None:
    change = {"modality": "vision", "max_pixels": 3136, "min_pixels": 196}
    assert "sees no images, and the run's modality shows some" in report(shared, "sft", change)["problems"][0]
    root = Path(shutil.copytree(shared, tmp_path / "other"))
    shutil.rmtree(root / "model")
    tiny = TinyModel(vocab_size=400, hidden_size=16, layers=1, heads=2, kv_heads=1, vision=TinyVision())
    prepare_model(Model(tiny=tiny), fixtures.write_texts(tmp_path / "corpus"), root / "model")
    assert report(root, "sft", change)["problems"] == []
    (root / "model" / "preprocessor_config.json").unlink()
    assert "holds no preprocessor_config.json" in report(root, "sft", change)["problems"][0]


def test_a_row_longer_than_a_vision_model_takes(shared: Path, tmp_path: Path) -> None:
    """Its positions stand in a group of their own in config.json."""
    root = Path(shutil.copytree(shared, tmp_path / "other"))
    write_json(root / "model" / "config.json", {"text_config": {"max_position_embeddings": 20}})
    rows = [row | {"prompt_tokens": 15, "completion_tokens": 6} for row in read_rows(root / "sft" / "train.parquet")]
    write_table(root / "sft" / "train.parquet", rows, RENDERED_SFT, ["response_id"])
    assert any("has a row of 21 tokens, the model takes 20" in problem for problem in report(root)["problems"])


def test_the_number_of_trained_parameters_is_checked(shared: Path) -> None:
    sizes = read_architecture(read_json(shared / "model/config.json"))
    assert sizes is not None
    assert report(shared, trainable_parameters=sizes.parameters)["problems"] == []
    (problem,) = report(shared, trainable_parameters=sizes.parameters + 1)["problems"]
    assert problem.startswith(f"recipe key trainable_parameters: is {sizes.parameters + 1:,}, and {sizes.parameters:,}")
