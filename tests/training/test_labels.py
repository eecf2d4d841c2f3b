"""Real trainings whose answers to labelled rows are scored: true numbers, ends and choices by them, no side effect."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from training import fixtures, labelled
from training.breaking import BUILD, CutAt, PowerCutError
from training.conftest import Finished, Study
from training.test_resume import assert_equal
from winnow.core.config.runs import ResolvedRun
from winnow.core.errors import WinnowError
from winnow.core.tables import RENDERED_SFT, read_rows, write_table
from winnow.models.encoding import encode
from winnow.models.tokenizers import load_tokenizer
from winnow.models.weights import load_model
from winnow.training.checkpoints import identity_of
from winnow.training.determinism import prepare_torch
from winnow.training.fit import train
from winnow.training.labels import read_labelled
from winnow.training.loading import weights_of
from winnow.training.metrics import repeatable

LORA: dict[str, Any] = fixtures.LORA | {"lora_dropout": 0.3, "max_steps": 4, "eval_steps": 2, "save_steps": 2}
GUARD = {"metric": "predicted_positive_rate/posts", "min": 0.2, "max": 0.8}
STOPS = {"early_stopping": {"metric": "macro_f1/posts", "mode": "max", "patience": 2, "guard": GUARD}, "select": "best"}
# To pairs that all choose Yes the margin grows for as long as they are trained on.
MARGIN = {"metric": "rewards/margins", "mode": "max"}
ONE_ANSWER = {"max_steps": 8, "eval_steps": 2, "save_steps": 8, "learning_rate": 1.0e-3, "select": "best"}
Of = Callable[[str], Finished]


def run_of(stage: str, **recipe: Any) -> ResolvedRun:
    return labelled.scored(fixtures.make_run(stage, **(labelled.LEARNS | recipe)))


RUNS = {
    "sft": lambda: run_of("sft", **STOPS),
    "sft_lora": lambda: run_of("sft", **LORA),
    "dpo": lambda: run_of("dpo", **ONE_ANSWER, best_by=MARGIN),
    "dpo_guarded": lambda: run_of("dpo", **ONE_ANSWER, best_by=MARGIN | {"guard": GUARD}),
}


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study whose labels one word decides, with two datasets of labelled rows."""
    prepare_torch(0)
    root = tmp_path_factory.mktemp("labels")
    texts = fixtures.write_texts(root / "corpus")
    rows = {
        "sft": tuple(labelled.write_posts(root / "sft", *of) for of in (("train", 64, 32), ("val", 24, 12))),
        "dpo": tuple(labelled.write_pairs(root / "dpo", *of) for of in (("train", 32), ("val", 8))),
    }
    tables = {"posts": rows["sft"][1], "tweets": labelled.write_posts(root / "tweets", "val", 10, 3)}
    return Study(root, labelled.make_model(root / "model", texts), rows, texts, labels=tables)


@pytest.fixture(scope="module")
def finished(posts: Study, tmp_path_factory: pytest.TempPathFactory) -> Of:
    """Return a function that trains a run once; DPO starts from the finished SFT run."""
    made: dict[str, Finished] = {}

    def get(name: str) -> Finished:
        if name not in made:
            study = replace(posts, parent=get("sft").folder) if name.startswith("dpo") else posts
            made[name] = study.train(RUNS[name](), tmp_path_factory.mktemp(name))
        return made[name]

    return get


def test_a_label_is_learnt_and_learning_ends_there(finished: Of) -> None:
    """Macro F1 rises to 1; two measurements later there is nothing to gain, and the first model of all is kept."""
    run = finished("sft")
    f1 = run.series("macro_f1/posts", "eval")
    assert f1[0] < 0.6
    assert f1[-3:] == [1.0, 1.0, 1.0]
    assert max(f1[:-3]) < 1.0
    assert run.series("macro_f1/tweets", "eval")[-1] == 1.0
    assert run.series("predicted_positive_rate/tweets", "eval")[-1] == 0.3
    steps = [row["step"] for row in run.rows if row["kind"] == "eval"]
    assert (run.manifest["selected_step"], run.manifest["steps"]) == (steps[-3], steps[-1])
    assert run.manifest["stopped_early"]
    assert run.manifest["counts"]["scored"] == {"posts": 24, "tweets": 10}
    assert run.manifest["alarms"] == []  # although it gave one answer to all on its way


def test_a_guard_keeps_a_model_that_always_says_yes_out(finished: Of) -> None:
    bare, guarded = finished("dpo"), finished("dpo_guarded")
    rates = {row["step"]: row[GUARD["metric"]] for row in bare.rows if row["kind"] == "eval"}
    assert (rates[0], rates[8]) == (0.5, 1.0)
    assert bare.manifest["selected_step"] == 8
    assert bare.series("f1_positive/posts", "eval")[-1] == pytest.approx(2 / 3)  # always positive, of one in two
    kept = guarded.manifest["selected_step"]
    assert kept == max(step for step in rates if step and 0.2 <= rates[step] <= 0.8) < 8
    assert repeatable(bare.rows) == repeatable(guarded.rows)
    assert {alarm["name"] for alarm in bare.manifest["alarms"]} >= {"one_label/posts", "one_label/tweets"}
    assert not [alarm for alarm in guarded.manifest["alarms"] if alarm["name"].startswith("one_label")]


@pytest.mark.parametrize("name", ["sft_lora", "dpo"])
def test_numbers_are_those_of_the_finished_model(posts: Study, finished: Of, name: str) -> None:
    """Asked row by row, words whole, by another way: the loss of the answer, from the files that the run left."""
    run = finished(name)
    is_adapter = run.request.run.is_adapter
    weights = weights_of(posts.model, None if is_adapter else run.folder)
    model = load_model(weights, dtype="float32", attention=None)
    if is_adapter:
        model = PeftModel.from_pretrained(model, str(run.folder))
    tokenizer, margins, yes = load_tokenizer(posts.model), [], 0
    for row in read_rows(posts.labels["tweets"]):
        logps = {}
        for word in labelled.ANSWERS.values():
            encoded = encode(tokenizer, row["prompt"], labelled.said(word), "a test")
            ids = torch.tensor([encoded.ids])
            with torch.no_grad():
                logps[word] = float(model.eval()(ids).logits[0, encoded.prompt_tokens - 1].log_softmax(-1)[
                    ids[0, encoded.prompt_tokens]
                ])  # fmt: skip
        right = row["completion"][0]["content"]
        margins.append(logps[right] - logps["No" if right == "Yes" else "Yes"])
        yes += logps["Yes"] > logps["No"]
    last = [row for row in run.rows if row["kind"] == "eval"][-1]
    assert last["margin/tweets"] == pytest.approx(math.fsum(margins) / 10, abs=1e-4)
    assert last["predicted_positive_rate/tweets"] == yes / 10
    assert last["accuracy/tweets"] == sum(margin > 0 for margin in margins) / 10
    assert last["margin/tweets"] != run.series("margin/tweets", "eval")[0]


def test_scoring_changes_nothing_else(posts: Study, finished: Of, tmp_path: Path) -> None:
    """With dropout, so that a random number more or less, or a layer left in the wrong mode, would be seen."""
    run = finished("sft_lora")
    bare = posts.train(run.request.run.model_copy(update={"answers": None, "positive": None}), tmp_path)
    assert bare.weights() == run.weights()
    lines = [{key: value for key, value in row.items() if "/" not in key} for row in repeatable(run.rows)]
    assert lines == repeatable(bare.rows)
    assert lines != repeatable(run.rows)


def test_only_a_run_that_scores_labels_is_made_from_them(posts: Study, finished: Of, tmp_path: Path) -> None:
    """What any other run is made from must stay what it was: a finished one is not trained again."""
    known = {"stage", "modality", "seed", "recipe", "pixels", "pack_to"}
    run = fixtures.make_run("sft")
    body = identity_of(posts.request(run, tmp_path))
    assert (body["run"].keys(), body["data"].keys()) == (known, {"train", "val"})
    assert not {"answers", "positive"} & run.model_dump(mode="json").keys()
    body = finished("sft").manifest["made_from"]
    assert body["run"].keys() == known | {"answers", "positive"}
    assert body["data"].keys() == {"train", "val", "labels/posts", "labels/tweets"}


@pytest.mark.parametrize("name", ["sft_lora", "dpo_guarded"])
def test_broken_off_it_leaves_the_same_lines(posts: Study, finished: Of, tmp_path: Path, name: str) -> None:
    study = replace(posts, parent=finished("sft").folder) if name == "dpo_guarded" else posts
    run = finished(name).request.run
    build = BUILD[run.stage]
    with pytest.raises(PowerCutError):
        cut = CutAt(3, "on_step_begin")
        train(study.request(run, tmp_path), lambda made, calls, watch: build(made, [*calls, cut], watch))
    assert_equal(study.train(run, tmp_path), finished(name))


def test_rows_that_cannot_be_scored_are_named(posts: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of("sft")
    with pytest.raises(WinnowError, match="names 0 datasets, and the run's answers are"):
        read_labelled(run, {})
    with pytest.raises(WinnowError, match="names 2 datasets, and the run's answers are None"):
        read_labelled(fixtures.make_run("sft"), posts.labels)
    rows = list(read_rows(posts.labels["tweets"]))
    rows[4]["completion"] = labelled.said("Maybe.")
    write_table(tmp_path / "odd.parquet", rows, RENDERED_SFT, ["response_id"])
    with pytest.raises(WinnowError, match="row val004: begins with none of Yes, No"):
        read_labelled(run, {"odd": tmp_path / "odd.parquet"})
    write_table(tmp_path / "none.parquet", [], RENDERED_SFT, ["response_id"])
    assert set(read_labelled(run, posts.labels | {"none": tmp_path / "none.parquet"})) == {"posts", "tweets"}
    assert "no answers to prompts of none are scored" in capsys.readouterr().err
