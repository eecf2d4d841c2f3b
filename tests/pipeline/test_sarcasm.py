"""The study sarcasm_cpu made smaller, from made-up posts to the report, and its numbers made again by another route."""

import json
import math
import re

import pytest

from planted_posts import write_raw_files
from winnow.core.files import read_json
from winnow.core.tables import read_rows
from workflow import copy_checkout, run

# What takes long and shows nothing more is left out.
REDUCED = """\
extends: sarcasm_cpu
study: sarcasm_reduced
corpora:
  gen_reasons: null
  hyp: null
  rq: null
  tweets: &tweets {exclude: [gen], splits: {val: 0.3}}  # with mistakes of either kind
  tweets_reasons: *tweets
datasets: {dpo_gen: null}
modalities: {clean: {context: 224}}
models: {text: {tiny: {vocab_size: 640, hidden_size: 64, intermediate_size: 128, initializer_range: 0.1}}}
runs:
  sft_{modality}:
    overrides:
      trainable_parameters: null
      num_train_epochs: 8
      learning_rate: 2.0e-3
      eval_steps: 0.2
      early_stopping: {patience: 5}
  dpo_{modality}:
    overrides: &less {trainable_parameters: null, effective_batch_size: 8, warmup_steps: 0}
    sweep: {beta: [0.05, 0.5], seed: [42]}
  dpo_mistakes_{modality}: {overrides: *less}
  dpo_gen_{modality}: null
evaluation: {generation: {prompts: 8}}
"""
RUNS = ("sft_clean", "dpo_clean-beta0.05-seed42", "dpo_clean-beta0.5-seed42", "dpo_mistakes_clean")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    checkout = copy_checkout(tmp_path_factory.mktemp("sarcasm") / "checkout")
    (checkout / "studies/sarcasm_reduced.yaml").write_text(REDUCED)
    write_raw_files(checkout / "data")
    run(checkout, "results/sarcasm_reduced/report.html", config=("studies=sarcasm_reduced",))
    return checkout / "results/sarcasm_reduced"


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def decisions(results, decoding):
    return read_json(results / "comparison/comparison.json")["decisions"]["clean"][decoding]


def test_sft_learns_what_the_words_give_away(results):
    """The words tell 0.9 of the labels, so a model that read them is near that, and the classifier too."""
    found = decisions(results, "logprob")
    trained, majority = found["rows"]["sft_clean"]["accuracy"], found["baselines"]["majority"]["accuracy"]
    assert 0.5 <= majority["value"] < 0.65
    assert trained["interval"][0] > majority["value"]
    assert 0.75 < trained["value"] <= 1
    assert found["baselines"]["tfidf_logistic"]["accuracy"]["interval"][0] > majority["value"]
    p = sum(found["rows"]["sft_clean"]["confusion"]["sarcastic"].values()) / found["n"]
    always = found["baselines"]["always_positive"]["f1_positive"]["value"]
    assert always == pytest.approx(2 * p / (1 + p), abs=1e-6)


def test_the_comparison_follows_from_the_probabilities_of_the_words(results):
    labels = {row["prompt_id"]: row["label"] for row in read_rows(results / "corpus/gen/prompts.parquet")}
    splits = {row["prompt_id"]: row["split"] for row in read_rows(results / "corpus/gen/splits.parquet")}
    test = {name for name, split in splits.items() if split == "test"}
    found = decisions(results, "logprob")["rows"]
    assert found.keys() == {"base_clean", *RUNS}
    for name, numbers in found.items():
        rows = lines(results / f"evaluation/heldout/{name}/rows.jsonl")
        answered = {row["id"]: row["logps"] for row in rows if row["kind"] == "label"}
        assert answered.keys() == test
        chosen = {post: max(logps, key=logps.get) for post, logps in answered.items()}
        right = sum(chosen[post] == labels[post] for post in test)
        positive = sum(label == "sarcastic" for label in chosen.values())
        assert numbers["accuracy"]["value"] == pytest.approx(right / len(test), abs=1e-6)
        assert numbers["predicted_positive_rate"]["value"] == pytest.approx(positive / len(test), abs=1e-6)


def test_what_is_not_one_of_the_words_is_a_class_of_its_own(results):
    """The untrained model says nothing that could be read."""
    greedy = decisions(results, "greedy")["rows"]["base_clean"]
    assert [row["unparsed"] for row in greedy["confusion"].values()] == [
        sum(row.values()) for row in greedy["confusion"].values()
    ]
    assert greedy["accuracy"]["value"] == 0


@pytest.mark.parametrize("name", [name for name in RUNS if name.startswith("dpo")])
def test_dpo_starts_at_its_reference_and_moves_away(results, name):
    """The published original logged a KL of 0 for ever."""
    metrics = lines(results / f"runs/{name}/metrics.jsonl")
    train, measured = ([row for row in metrics if row["kind"] == kind] for kind in ("train", "eval"))
    assert train[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert (measured[0]["step"], measured[0]["kl_tok"], measured[0]["kl_seq"]) == (0, 0, 0)
    assert len({row["kl_tok"] for row in measured}) == len(measured)
    assert all(row["kl_tok"] > 0 for row in measured[1:])


@pytest.mark.parametrize("name", RUNS)
def test_the_best_step_by_f1_is_kept_within_the_guard(results, name):
    measured = [row for row in lines(results / f"runs/{name}/metrics.jsonl") if row["kind"] == "eval" and row["step"]]
    within = [row for row in measured if 0.2 <= row["predicted_positive_rate/gen"] <= 0.8]
    best = max(within, key=lambda row: (row["macro_f1/gen"], -row["step"]), default={"step": None})
    manifest = read_json(results / f"runs/{name}/manifest.json")
    assert manifest["selected_step"] == best["step"]
    assert (not within) == ("outside_guard" in [alarm["name"] for alarm in manifest["alarms"]])
    assert all("macro_f1/tweets" in row for row in measured)


def test_hard_negatives_are_what_the_model_said_wrongly_of_tweets(results):
    folder = results / "datasets/mistakes"
    said = {}
    for split in ("train", "val"):
        for row in lines(folder / f"mined/sft_clean/{split}.generations.jsonl"):
            said.setdefault(row["prompt_id"], set()).add(row["text"].strip())
    labels = {row["prompt_id"]: row["label"] for row in read_rows(results / "corpus/tweets/prompts.parquet")}
    pairs = [row for split in ("train", "val") for row in read_rows(folder / f"clean/{split}.parquet")]
    assert pairs
    for row in pairs:
        right = "Yes" if labels[row["prompt_id"]] == "sarcastic" else "No"
        assert row["chosen"][0]["content"] == right
        assert row["rejected"][0]["content"] in said[row["prompt_id"]]
        assert re.match(r"\w+", row["rejected"][0]["content"])[0] == {"Yes": "No", "No": "Yes"}[right]


def test_minimal_pairs_hold_a_tweet_and_its_rephrase(results):
    for split in ("train", "val"):
        asked = {row["prompt_id"] for row in read_rows(results / f"datasets/rephrases/clean/{split}.parquet")}
        tweets = {name for name in asked if not name.endswith("-rephrase")}
        assert tweets
        assert asked == tweets | {f"{name}-rephrase" for name in tweets}


def test_the_report_says_plainly_whether_the_classifier_was_beaten(results):
    page = re.sub(r"<(script|style)\b.*?</\1>", " ", (results / "report.html").read_text(), flags=re.DOTALL)
    told = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    for name in RUNS:
        assert re.search(rf"{re.escape(name)} .{{0,60}}(TF-IDF and logistic regression)", told), name
    entry = next(
        row["to_reference"]["decision_correct"]
        for row in read_json(results / "comparison/comparison.json")["responses"]["clean"]["logprob"]["rows"]
        if row["run"] == "sft_clean"
    )
    assert entry["test"] == "mcnemar"
    for word in ("reviewer", "accepted", "checkmark"):
        assert word not in told.lower(), word
