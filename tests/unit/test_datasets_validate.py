"""Validation: a sound dataset passes, and each rule catches the fault that it is for."""

import contextlib
import json
import shutil
from pathlib import Path

import pytest

import datasets_fixtures as made
from validation_faults import BOTH, FAULTS, same_text
from validation_world import World, failures
from winnow.core.errors import WinnowError
from winnow.datasets.rules_bias import auc
from winnow.datasets.validate import BY_POLICY, COMMON


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder with a corpus, a model, and both datasets chosen and rendered."""
    folder = tmp_path_factory.mktemp("sound")
    paths, model = made.Corpus(folder).write(), made.make_tokenizer(folder / "model")
    for stage in ("sft", "dpo"):
        chosen = made.choose(stage, paths, folder / stage)["chosen"]
        made.render(stage, paths, chosen, model, folder / stage)
    return folder


@pytest.fixture
def world(sound, tmp_path, request):
    folder = Path(shutil.copytree(sound, tmp_path / "world"))
    return World(folder, request.param)


@pytest.mark.parametrize("world", ["sft", "dpo"], indirect=True)
def test_a_sound_dataset_passes_every_rule(world):
    world.others = [f"other={world.folder / ('dpo' if world.stage == 'sft' else 'sft') / 'chosen.parquet'}"]
    report = world.validate()
    assert report["ok"]
    assert {rule["status"] for rule in report["rules"]} <= {"pass", "warn", "not_applicable"}
    ids = [rule["id"] for rule in report["rules"]]
    assert len(ids) == len(set(ids))
    assert {"C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8a", "C8b", "C9", "C10"} <= set(ids)
    idle = {rule["id"] for rule in report["rules"] if not rule["checked"]}
    assert idle == ({"C6", "C10b"} if world.stage == "sft" else {"C6", "C10b", "W3"})
    assert not (world.folder / "validation.failed.json").exists()
    overlap = next(rule for rule in report["rules"] if rule["id"] == "C3")["measured"]
    assert 0 < overlap["share_also_in_other"] < 1
    assert all(len(sha) == 64 for sha in report["inputs"].values())
    assert str(world.folder) not in json.dumps(report)


CASES = [
    pytest.param(stage, rule, fault, id=f"{rule}-{stage}-{fault.__name__}")
    for rule, stages, faults in FAULTS
    for stage in stages
    for fault in faults
]


@pytest.mark.parametrize(("world", "rule", "fault"), CASES, indirect=["world"])
def test_each_rule_catches_its_fault(world, rule, fault):
    fault(world)
    assert rule in failures(world)


def test_every_rule_has_a_planted_fault():
    measures_only = {"C9", "C10b"}  # C9 reports and warns; C10b has faults of its own in test_datasets_modalities
    by_row = {"C1", "C4", "C5", "C7", "W5", "W6", "W7", "W8"}
    for stage, policy in zip(BOTH, ("top_fraction", "contrastive"), strict=True):
        planted = {rule for rule, stages, _ in FAULTS if stage in stages}
        assert planted == ((COMMON | BY_POLICY[policy]).keys() | by_row) - measures_only


@pytest.mark.parametrize("world", ["dpo"], indirect=True)
def test_a_failure_writes_the_report_beside_its_place_and_names_rule_and_example(world):
    same_text(world)
    with pytest.raises(WinnowError, match=r"C1 \(.*chosen and rejected have the same text") as error:
        world.validate()
    kept = world.folder / "validation.failed.json"
    assert str(kept) in str(error.value)
    assert kept.read_bytes() == (world.folder / "validation.json").read_bytes()
    rule = next(rule for rule in json.loads(kept.read_text())["rules"] if rule["id"] == "C1")
    assert rule["failures"] == 1
    assert rule["examples"][0]["id"] == world.rows("train")[0]["pair_id"]


@pytest.mark.parametrize("world", ["dpo"], indirect=True)
def test_a_report_is_taken_back_when_the_fault_is_mended(world):
    rows = world.rows("train")
    same_text(world)
    assert failures(world)
    world.put("train", rows)
    assert world.validate()["ok"]
    assert not (world.folder / "validation.failed.json").exists()


@pytest.mark.parametrize("world", ["dpo"], indirect=True)
def test_length_that_gives_the_answer_away_is_a_warning(world):
    rows = world.rows("train")
    for row in rows:
        row.update(chosen_tokens=100, rejected_tokens=50)
    world.put("train", rows)
    with contextlib.suppress(WinnowError):
        world.validate()
    rule = next(r for r in json.loads((world.folder / "validation.json").read_text())["rules"] if r["id"] == "C9")
    assert rule["status"] == "warn"
    assert rule["measured"]["length_auc"] > 0.9
    assert rule["measured"]["median_length_ratio"] == 2.0


@pytest.mark.parametrize("world", ["sft"], indirect=True)
def test_a_response_too_long_for_the_budget_may_be_left_out(world):
    longest = max(world.rows("train"), key=lambda row: row["completion_tokens"])
    limit = sorted({row["completion_tokens"] for name in ("train", "val") for row in world.rows(name)})[-2]
    fits = made.BUDGET["context"] - made.BUDGET["response_tokens"]
    world.spec = {"response_tokens": limit, "context": fits + limit}
    assert "W7" in failures(world)
    world.put("train", [row for row in world.rows("train") if row["response_id"] != longest["response_id"]])
    assert "C10" in failures(world)  # not without a reason
    why = {"id": longest["response_id"], "split": "train", "reason": "response_too_long"}
    world.put("left_out", [why])
    assert "C10" not in failures(world)
    world.put("left_out", [why | {"reason": "prompt_too_long"}])
    assert "C10" in failures(world)


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [
        ([2, 3], [0, 1], 1.0),
        ([0], [1], 0.0),
        ([1], [1], 0.5),
        ([1, 3], [2], 0.5),
        ([1, 1], [0, 1], 0.75),
        ([], [1], None),
    ],
)
def test_auc_counts_ties_half(positive, negative, expected):
    assert auc(positive, negative) == expected
