"""Validation of labelled data: a sound dataset passes, and each rule catches the fault that it is for."""

import json
import shutil
from pathlib import Path

import pytest
from test_corpus_reasons import FILE
from test_corpus_sarcasm import tweets

import datasets_fixtures as made
from corpus_fixtures import ingest
from labelled_study import tweet_rows
from validation_world import World, failures
from winnow.core.config.corpora import Splits
from winnow.core.tables import read_rows
from winnow.corpus.splits import split_prompts
from winnow.datasets.validate import BY_POLICY

ANSWERS = {"sarcastic": "Yes", "not_sarcastic": "No"}
BUDGET = {
    "corpus": "tweets",
    "prompt_fields": ["body"],
    "context": 900,
    "response_tokens": 100,
    "template": "sarcasm",
}
POLICY = {
    "sft": {"stage": "sft", "corpus": "tweets", "policy": "all", "min_answered": 1.0},
    "dpo": {"stage": "dpo", "corpus": "tweets", "policy": "by_label", "min_answered": 1.0},
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder with a corpus of tweets, its scores, a model, and both datasets chosen and rendered."""
    folder = tmp_path_factory.mktemp("sound")
    corpus = ingest(tweets(folder, [row[:4] for row in tweet_rows()], reasons=str(FILE)), folder)
    splits = folder / "splits.parquet"
    split_prompts(corpus.files.prompts, Splits(val=0.2, test=0.1, optimize=0, stratify="label"), 0.8, splits, 6)
    tables = {name: folder / f"{name}.parquet" for name in ("prompts", "responses")}
    out = {"scores": folder / "scores.jsonl", "report": folder / "judge.json", "manifest": folder / "scores.json"}
    spec = {"signal": {"kind": "label"}, "answers": {"tweets": ANSWERS}}
    made.run_script("score_labels", spec=spec, **{key: f"tweets={path}" for key, path in tables.items()}, **out)
    model, paths = made.make_tokenizer(folder / "model"), tables | {"scores": out["scores"], "splits": splits}
    for stage, policy in POLICY.items():
        chosen = {name: folder / stage / f"{name}.parquet" for name in ("chosen", "ledger")}
        inputs = ("scores", "splits") if stage == "sft" else ("scores", "splits", "responses", "prompts")
        script = "select_responses" if stage == "sft" else "pair_responses"
        files = {name: paths[name] for name in inputs} | chosen | {"manifest": folder / stage / "choose.json"}
        made.run_script(script, spec=policy, **files)
        made.render(stage, paths, chosen["chosen"], model, folder / stage, **BUDGET)
    return folder


class LabelWorld(World):
    """A copy of that folder that a fault is planted in."""

    def validate(self) -> dict:
        spec = {"stage": self.stage, "dataset": "main", "modality": "clean", "answers": ANSWERS, "min_prompt_chars": 1}
        spec |= BUDGET | {"policy": POLICY[self.stage] | self.policy, "splits": {"val": 0.2, "test": 0.1}}
        files = {name: self.path(name) for name in ("train", "val", "left_out", "chosen", "ledger")}
        files |= {name: self.path(name) for name in ("prompts", "responses", "splits")}
        files |= {"scores": self.folder / "scores.jsonl", "model": self.folder / "model"}
        report = self.folder / "validation.json"
        options = {"others": self.others} if self.others else {}
        made.run_script("validate_dataset", spec=spec, stage=self.stage, report=report, **files, **options)
        return json.loads(report.read_text())


@pytest.fixture
def world(sound, tmp_path, request):
    return LabelWorld(Path(shutil.copytree(sound, tmp_path / "world")), request.param)


@pytest.mark.parametrize("world", ["sft", "dpo"], indirect=True)
def test_a_sound_dataset_passes_and_says_what_does_not_apply(world):
    rules = {rule["id"]: rule for rule in world.validate()["rules"]}
    idle = {key for key, rule in rules.items() if rule["status"] == "not_applicable"}
    assert idle == {"C6", "C10b", "W9"} | ({"W3"} if world.stage == "dpo" else set())
    assert all(rules[key]["reason"] for key in idle)
    assert {rule["status"] for key, rule in rules.items() if key not in idle} == {"pass"}
    assert all(rule["checked"] for key, rule in rules.items() if key not in idle)
    assert BY_POLICY[POLICY[world.stage]["policy"]].keys() <= rules.keys()
    if world.stage == "dpo":
        found = rules["W10"]["measured"]
        assert found["length_auc"] == pytest.approx(0.5, abs=0.05)
        assert found["template_z"] < 3


def first(world):
    return next(row for row in world.rows("chosen") if row["split"] == "train")


def of_first_prompt(world):
    prompt = first(world)["prompt_id"]
    return lambda row: row["prompt_id"] == prompt


def other_label(world):
    turn = {"sarcastic": "not_sarcastic", "not_sarcastic": "sarcastic"}
    world.change("prompts", lambda row: row.update(label=turn[row["label"]]), of_first_prompt(world))


def unknown_label(world):
    world.change("prompts", lambda row: row.update(label="ironic"), of_first_prompt(world))


def turned_pair(world):
    def turn(row):
        row["chosen_id"], row["rejected_id"] = row["rejected_id"], row["chosen_id"]

    name = first(world)["pair_id"]
    world.change("chosen", turn, lambda row: row["pair_id"] == name)


def says_the_other(world):
    """A response's text says the other verdict than its score was made from."""
    name = first(world)["response_id" if world.stage == "sft" else "chosen_id"]

    def turn(row):
        row["text"] = ("No" if row["text"].startswith("Yes") else "Yes") + row["text"][row["text"].index(".") :]

    world.change("responses", turn, lambda row: row["response_id"] == name)


def held_out_prompt_used(world):
    world.change("splits", lambda row: row.update(split="test"), of_first_prompt(world))


def rephrase_torn_from_its_tweet(world):
    """The table of splits hides that the two belong together; the prompts table says so."""
    used = {row["prompt_id"] for row in world.rows("chosen")}
    rows = world.rows("splits")
    rephrase = next(row for row in rows if row["prompt_id"].endswith("-rephrase") and row["prompt_id"] not in used)
    rephrase.update(group_id="alone", split="val" if rephrase["split"] == "train" else "train")
    world.put("splits", rows)


def same_text(world):
    world.change("train", lambda row: row["rejected"][0].update(content=row["chosen"][0]["content"]))


def same_response(world):
    world.change("train", lambda row: row.update(rejected_id=row["chosen_id"]))


def other_template(world):
    name = first(world)["rejected_id"]
    world.change("responses", lambda row: row.update(source="reasons/x"), lambda row: row["response_id"] == name)


def tighter_caliper(world):
    world.policy = {"length_caliper": 1.0}


def template_by_label(world):
    labels = {row["prompt_id"]: row["label"] for row in world.rows("prompts")}
    rows = world.rows("responses")
    for row in rows:
        row["source"] = f"reasons/{labels[row['prompt_id']]}"
    world.put("responses", rows)


def longer_when_right(world):
    rows = world.rows("train")
    for row in rows:
        row["chosen_tokens"] += 3
    world.put("train", rows)


def one_label_more(world):
    """A pair that lost the draw is taken in."""
    lost = next(row for row in world.rows("ledger") if row["reason"] == "other_label_rarer")
    pair = first(world) | {key: lost[key] for key in ("chosen_id", "rejected_id", "prompt_id", "split")}
    world.put("chosen", [*world.rows("chosen"), pair | {"pair_id": "0" * 24}])
    world.put("ledger", [row for row in world.rows("ledger") if row != lost])


def another_pair_drawn(world):
    """Two pairs of a label and split change places, so that the counts stay as they are."""
    labels = {row["prompt_id"]: row["label"] for row in world.rows("prompts")}
    lost = next(row for row in world.rows("ledger") if row["reason"] == "other_label_rarer")
    rows = world.rows("chosen")
    taken = next(
        row for row in rows if row["split"] == lost["split"] and labels[row["prompt_id"]] == labels[lost["prompt_id"]]
    )
    moved = {key: taken[key] for key in lost if key != "reason"} | {"reason": lost["reason"]}
    taken.update({key: lost[key] for key in ("chosen_id", "rejected_id", "prompt_id")})
    world.put("chosen", rows)
    others = [row for row in world.rows("ledger") if row != lost]
    world.put("ledger", [*others, moved])


def smaller_cap(world):
    world.policy = {"max_pairs": 10}


def other_source(world):
    world.policy = {"sources": ["rephrase"]}


def ledger_line_missing(world):
    world.put("ledger", world.rows("ledger")[1:])


def ledger_reason(world):
    world.change("ledger", lambda row: row.update(reason="answers_missing"))


def answer_turned(world):
    lines = [json.loads(line) for line in (world.folder / "scores.jsonl").read_text().splitlines()]
    lines[0]["answers"]["agrees_with_label"] = None
    lines[0].update(checkmark_count=0, checkmark_max=0, checkmark_score=None, answered_share=0.0)
    made.write_scores(world.folder / "scores.jsonl", lines)


def right_one_left_out(world):
    rows = world.rows("chosen")
    row = rows.pop()
    world.put("chosen", rows)
    keys = ("response_id", "prompt_id", "split")
    world.put("ledger", [*world.rows("ledger"), {key: row[key] for key in keys} | {"reason": "not_right"}])


def wrong_one_chosen(world):
    wrong = next(row for row in world.rows("ledger") if row["reason"] == "not_right")
    keys = ("response_id", "prompt_id", "split")
    rows = world.rows("chosen")
    world.put("chosen", [*rows, rows[0] | {key: wrong[key] for key in keys} | {"rank": len(rows) + 1}])


def sft_uses_its_prompts(world):
    world.policy = {"overlap_policy": "prompt_disjoint"}
    world.others = [f"sft={world.folder / 'sft/chosen.parquet'}"]


BOTH = ("sft", "dpo")
FAULTS = [
    ("C1", ("dpo",), (same_text, same_response)),
    ("C2", BOTH, (rephrase_torn_from_its_tweet, held_out_prompt_used)),
    ("C3", BOTH, (held_out_prompt_used,)),
    ("C7", BOTH, (unknown_label,)),
    ("C8a", BOTH, (other_label, says_the_other, answer_turned)),
    ("C8b", ("dpo",), (turned_pair, other_label, says_the_other, other_source)),
    ("C8b", ("sft",), (right_one_left_out, wrong_one_chosen, other_label)),
    ("C8c", ("dpo",), (other_template, tighter_caliper)),
    ("W1", BOTH, (ledger_line_missing, ledger_reason)),
    ("W3", ("dpo",), (sft_uses_its_prompts,)),
    ("W4", ("dpo",), (one_label_more, another_pair_drawn, smaller_cap)),
    ("W10", ("dpo",), (template_by_label, longer_when_right)),
]
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


def test_a_world_of_its_own_has_both_labels_and_both_sources(sound):
    sources = {row["source"] for row in read_rows(sound / "prompts.parquet")}
    assert sources == {"tweet", "rephrase"}
