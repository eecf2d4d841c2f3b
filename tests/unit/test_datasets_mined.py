"""Pairs mined from a model's mistakes: what becomes of each answer, and the fault that each rule is for."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from test_corpus_sarcasm import tweets

import datasets_fixtures as made
from corpus_fixtures import ingest
from labelled_study import tweet_rows
from validation_world import World, failures
from winnow.core.config.corpora import Splits
from winnow.core.errors import WinnowError
from winnow.core.files import read_json
from winnow.core.tables import read_rows, write_table
from winnow.corpus.splits import split_prompts

RUN = "sft_clean"
SPLITS = ("train", "val")
ANSWERS = {"sarcastic": "Yes", "not_sarcastic": "No"}
BUDGET = {"corpus": "tweets", "prompt_fields": ["body"], "context": 900, "response_tokens": 100, "template": "sarcasm"}
POLICY = {
    "stage": "dpo",
    "corpus": "tweets",
    "policy": "mined",
    "prompts": "asked",
    "run": RUN,
    "samples": 2,
    "min_answered": 1.0,
}
# What the run says, by the prompt's number among those of its label: R the right word, W the other.
SAID = (
    ("W", "W", "Maybe"),  # a mistake, said twice
    ("R", "R.", "Maybe"),  # no mistake; "R." is another right answer
    ("R.", " W\n", "maybe not"),  # a mistake of the second answer
    ("W, and this is why it is so", "R", "R"),  # a mistake that is far longer than the right word
)


def generations(corpus, splits):
    """Rows of generations.jsonl by split, of every prompt that is not held out."""
    rows, numbers = {"train": [], "val": []}, Counter()
    for prompt_id, prompt in sorted(corpus.prompts.items()):
        if splits[prompt_id] == "test":
            continue
        label = prompt["label"]
        right, wrong = ANSWERS[label], next(word for other, word in ANSWERS.items() if other != label)
        for sample, text in enumerate(SAID[numbers[label] % len(SAID)]):
            said = text.replace("R", right).replace("W", wrong)
            facts = {"id": f"{RUN}/{prompt_id}/{sample}", "run": RUN, "prompt_id": prompt_id, "sample": sample}
            stop = "length" if "," in said else "stop"
            rows[splits[prompt_id]].append(facts | {"text": said, "stop_reason": stop})
        numbers[label] += 1
    return rows


def said_in(folder):
    """All that the run said."""
    return [json.loads(line) for split in SPLITS for line in (folder / f"{split}.jsonl").read_text().splitlines()]


def put_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def pair(folder, **changes):
    """Gather, score and pair; the manifest of the pairs."""
    given = [f"{split}={folder / split}.jsonl" for split in SPLITS]
    own, mine = folder / "responses.parquet", folder / "dpo"
    spec = {"corpus": "tweets", "run": RUN, "answers": ANSWERS}
    tables = {"prompts": folder / "prompts.parquet", "responses": folder / "corpus.parquet"}
    made.run_script(
        "gather_mistakes", spec=spec, generations=given, **tables, out=own, manifest=folder / "gathered.json"
    )
    scores = {"scores": folder / "scores.jsonl", "report": folder / "judge.json", "manifest": folder / "scores.json"}
    spec = {"signal": {"kind": "label", "gates": {"max_null_rate": 1}}, "answers": {"tweets": ANSWERS}}
    of_corpus = {"prompts": f"tweets={tables['prompts']}", "responses": f"tweets={own}"}
    made.run_script("score_labels", spec=spec, **of_corpus, **scores)
    chosen = {name: mine / f"{name}.parquet" for name in ("chosen", "ledger")} | {"manifest": mine / "choose.json"}
    inputs = {"scores": scores["scores"], "splits": folder / "splits.parquet"} | tables | {"responses": own}
    made.run_script("pair_responses", spec=POLICY | changes, **inputs, **chosen)
    return read_json(chosen["manifest"])


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder with a corpus of tweets, what a run said to them, and the mined dataset, chosen and rendered."""
    folder = tmp_path_factory.mktemp("sound")
    corpus = ingest(tweets(folder, [row[:4] for row in tweet_rows()]), folder)
    shutil.move(corpus.files.responses, folder / "corpus.parquet")
    split_prompts(
        corpus.files.prompts, Splits(val=0.2, test=0.1, optimize=0, stratify="label"), 0.8, folder / "splits.parquet", 6
    )
    splits = {row["prompt_id"]: row["split"] for row in read_rows(folder / "splits.parquet")}
    for split, rows in generations(corpus, splits).items():
        put_lines(folder / f"{split}.jsonl", rows)
    pair(folder)
    paths = {name: folder / f"{name}.parquet" for name in ("prompts", "responses")}
    paths["scores"] = folder / "scores.jsonl"
    model = made.make_tokenizer(folder / "model")
    made.render("dpo", paths, folder / "dpo/chosen.parquet", model, folder / "dpo", **BUDGET)
    return folder


class MinedWorld(World):
    """A copy of that folder that a fault is planted in."""

    def lines(self, split="train"):
        return [json.loads(line) for line in (self.folder / f"{split}.jsonl").read_text().splitlines()]

    def validate(self) -> dict:
        spec = {"stage": "dpo", "dataset": "main", "modality": "clean", "answers": ANSWERS, "min_prompt_chars": 1}
        spec |= BUDGET | {"policy": POLICY | self.policy, "splits": {"val": 0.2, "test": 0.1}}
        files = {name: self.path(name) for name in ("train", "val", "left_out", "chosen", "ledger")}
        files |= {name: self.path(name) for name in ("prompts", "responses", "splits")}
        files |= {"scores": self.folder / "scores.jsonl", "model": self.folder / "model"}
        files |= {"generations": [f"{split}={self.folder / split}.jsonl" for split in SPLITS]}
        report = self.folder / "validation.json"
        options = {"others": self.others} if self.others else {}
        made.run_script("validate_dataset", spec=spec, stage="dpo", report=report, **files, **options)
        return json.loads(report.read_text())


@pytest.fixture
def world(sound, tmp_path):
    return MinedWorld(Path(shutil.copytree(sound, tmp_path / "world")), "dpo")


def test_each_answer_is_kept_once_and_counted(sound):
    rows = said_in(sound)
    prompts = len({row["prompt_id"] for row in rows})
    counts = read_json(sound / "gathered.json")["counts"]
    said = counts["generations"]
    own = [row for row in read_rows(sound / "responses.parquet") if row["author_kind"] == "model"]
    people = [row for row in read_rows(sound / "responses.parquet") if row["author_kind"] != "model"]
    assert counts["right_words"] == {"read": prompts, "kept": prompts, "dropped": {}, "notes": {}}
    assert {row["text"] for row in people} == {"Yes", "No"}
    assert len(people) == prompts
    assert said["read"] == 3 * prompts == said["kept"] + said["dropped"]["duplicate"]
    assert len(own) == said["kept"]
    assert len({(row["prompt_id"], row["text"]) for row in [*own, *people]}) == len(own) + len(people)
    assert {row["source"] for row in own} == {RUN}
    assert {row["text"] for row in own if "no_verdict" in row["flags"]} == {"Maybe", "maybe not"}
    assert all(("cut_off" in row["flags"]) == ("," in row["text"]) for row in own)
    assert said["notes"]["unread"] == sum(row["text"].lower().startswith("maybe") for row in rows)
    assert said["notes"]["wrong"] + said["notes"]["right"] + said["notes"]["unread"] == 3 * prompts


def test_the_pairs_are_the_mistakes_and_every_other_has_its_reason(sound):
    labels = {row["prompt_id"]: row["label"] for row in read_rows(sound / "prompts.parquet")}
    texts = {row["response_id"]: row for row in read_rows(sound / "responses.parquet")}
    chosen = list(read_rows(sound / "dpo/chosen.parquet"))
    for row in chosen:
        good, poor = texts[row["chosen_id"]], texts[row["rejected_id"]]
        assert good["text"] == ANSWERS[labels[row["prompt_id"]]]
        assert {good["text"], poor["text"]} == {"Yes", "No"}
        assert (good["author_kind"], poor["author_kind"], poor["source"]) == ("human", "model", RUN)
    by_side = Counter((row["split"], labels[row["prompt_id"]]) for row in chosen)
    # Two of each four prompts have a mistake that is as short as the right word; all of the rarer label's are pairs.
    splits = {row["prompt_id"]: row["split"] for row in read_rows(sound / "splits.parquet")}
    mistakes = {(splits[row["prompt_id"]], row["prompt_id"]) for row in said_in(sound) if is_mistake(row, labels)}
    found = Counter((split, labels[prompt_id]) for split, prompt_id in mistakes)
    for split in SPLITS:
        least = min(found[split, label] for label in ANSWERS)
        assert least
        assert {by_side[split, label] for label in ANSWERS} == {least}
    counts = read_json(sound / "dpo/choose.json")["counts"]["pairs"]
    reasons = {"answers_missing", "same_verdict", "not_a_mistake", "length_caliper", "other_label_rarer"}
    assert counts["dropped"].keys() == reasons


def is_mistake(row, labels):
    return row["text"].strip() in ANSWERS.values() and row["text"].strip() != ANSWERS[labels[row["prompt_id"]]]


def test_a_run_without_mistakes_names_the_key_to_change(world):
    labels = {row["prompt_id"]: row["label"] for row in world.rows("prompts")}
    for split in SPLITS:
        put_lines(
            world.folder / f"{split}.jsonl",
            [row | {"text": ANSWERS[labels[row["prompt_id"]]]} for row in world.lines(split)],
        )
    with pytest.raises(WinnowError, match="the run says the right words here: raise samples"):
        pair(world.folder)


def test_what_another_run_said_is_refused(world):
    put_lines(world.folder / "val.jsonl", [row | {"run": "sft_other"} for row in world.lines("val")])
    with pytest.raises(WinnowError, match=f"have {RUN} answer"):
        pair(world.folder)


def test_a_sound_dataset_passes_and_says_what_does_not_apply(world):
    rules = {rule["id"]: rule for rule in world.validate()["rules"]}
    idle = {key for key, rule in rules.items() if rule["status"] == "not_applicable"}
    assert idle == {"C6", "C10b", "W3", "W9"}
    assert {rule["status"] for key, rule in rules.items() if key not in idle} == {"pass"}
    assert all(rule["checked"] for key, rule in rules.items() if key not in idle)
    assert rules["W10"]["measured"]["length_auc"] == pytest.approx(0.5, abs=0.05)
    assert rules["W12"]["measured"]["responses"] == 3 * rules["W12"]["measured"]["prompts"]


def first(world):
    return next(row for row in world.rows("chosen") if row["split"] == "train")


def said_to_another_prompt(world):
    """The run said the rejected text, but to another prompt than the table has it."""
    name = first(world)["rejected_id"]
    put_lines(world.folder / "train.jsonl", [row for row in world.lines() if row["id"] != name])


def never_said(world):
    name = first(world)["rejected_id"]
    rows = world.lines()
    next(row for row in rows if row["id"] == name)["text"] = "Perhaps"
    put_lines(world.folder / "train.jsonl", rows)


def rejected_put_right(world):
    """The prompt's label is another one: what was rejected is right."""
    prompt, turn = first(world)["prompt_id"], {"sarcastic": "not_sarcastic", "not_sarcastic": "sarcastic"}
    world.change("prompts", lambda row: row.update(label=turn[row["label"]]), lambda row: row["prompt_id"] == prompt)


def chosen_by_the_model(world):
    """A right answer of the model's takes the place of the right word."""
    rows, own = world.rows("chosen"), {row["response_id"] for row in world.rows("responses")}
    for row in rows:
        other = f"{RUN}/{row['prompt_id']}/0"
        if row["rejected_id"].endswith("/1") and other in own:
            row["chosen_id"] = other
            break
    else:
        raise AssertionError("no prompt has a right answer of the model's")
    world.put("chosen", rows)


def chosen_with_more_words(world):
    name = first(world)["chosen_id"]
    world.change("responses", lambda row: row.update(text=row["text"] + "!"), lambda row: row["response_id"] == name)


def answer_left_out(world):
    rows = world.rows("responses")
    gone = next(row for row in rows if row["text"] == "Maybe")
    world.put("responses", [row for row in rows if row is not gone])


def answer_made_up(world):
    rows = world.rows("responses")
    model = next(row for row in rows if row["text"] == "Maybe")
    world.put("responses", [*rows, model | {"response_id": model["response_id"] + "0", "text": "No, never"}])


def answer_twice(world):
    rows = world.rows("responses")
    model = next(row for row in rows if row["text"] == "Maybe")
    world.put("responses", [*rows, model | {"response_id": model["response_id"] + "0"}])


def another_run(world):
    world.policy = {"run": "sft_other"}


def asked_less_often(world):
    world.policy = {"samples": 3}


def longer_when_right(world):
    for split in SPLITS:
        world.put(split, [row | {"chosen_tokens": row["chosen_tokens"] + 3} for row in world.rows(split)])


def author_in_the_ledger(world):
    rows = world.rows("ledger")
    next(row for row in rows if row["reason"] == "not_a_mistake")["reason"] = "same_verdict"
    world.put("ledger", rows)


def unread_and_blamed(world):
    rows = world.rows("ledger")
    next(row for row in rows if row["reason"] == "answers_missing")["reason"] = "not_a_mistake"
    world.put("ledger", rows)


def another_model_wrote_it(world):
    name = first(world)["rejected_id"]
    world.change("responses", lambda row: row.update(author_kind="human"), lambda row: row["response_id"] == name)


FAULTS = {
    "C8b": (rejected_put_right,),
    "W1": (author_in_the_ledger, unread_and_blamed, another_model_wrote_it),
    "W10": (longer_when_right,),
    "W11": (said_to_another_prompt, never_said, rejected_put_right, chosen_by_the_model, chosen_with_more_words),
    "W12": (answer_left_out, answer_made_up, answer_twice, another_run, asked_less_often),
}
CASES = [
    pytest.param(rule, fault, id=f"{rule}-{fault.__name__}") for rule, faults in FAULTS.items() for fault in faults
]


@pytest.mark.parametrize(("rule", "fault"), CASES)
def test_each_rule_catches_its_fault(world, rule, fault):
    fault(world)
    assert rule in failures(world)


@pytest.mark.parametrize(("name", "fails"), [("asked", False), ("others", True)])
def test_prompts_that_were_asked_are_no_overlap_and_those_of_others_are(world, name, fails):
    rows = world.rows("chosen")
    used = [{"response_id": row["chosen_id"], "prompt_id": row["prompt_id"], "split": row["split"]} for row in rows]
    columns = pa.schema([(column, pa.string()) for column in used[0]])
    write_table(world.folder / "sft.parquet", used, columns, ["response_id"])
    world.policy, world.others = {"overlap_policy": "prompt_disjoint"}, [f"{name}={world.folder / 'sft.parquet'}"]
    assert ("W3" in failures(world)) == fails
