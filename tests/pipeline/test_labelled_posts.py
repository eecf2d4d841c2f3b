"""Labelled posts and tweets from their raw files to validated and exported datasets, counted again from the files."""

import json
import subprocess
import sys
from collections import Counter

from labelled_study import add_study, post_rows, tweet_rows
from winnow.core.tables import read_rows
from workflow import run


def said(row, side):
    (message,) = row[side]
    return message["content"]


def check_reports_and_exports(checkout, cards, trained):
    results = checkout / "results/labels"
    for dataset, card in zip(("sft", "dpo"), cards, strict=True):
        assert json.loads((results / f"datasets/{dataset}/clean/validation.json").read_text())["ok"]
        assert "Scored by the labels of the prompts" in (checkout / card).read_text()
    again = [sys.executable, "workflow_scripts/validate.py", "--results", "results/labels"]
    said_again = subprocess.run(again, cwd=checkout, capture_output=True, text=True, check=False)
    assert said_again.returncode == 0, said_again.stderr
    assert "sft/clean: ok" in said_again.stdout
    assert "dpo/clean: ok" in said_again.stdout
    names = json.loads((results / "exports/llama_factory/dataset_info.json").read_text())
    assert len(names) == 4
    exported = {row["id"] for row in read_rows(results / "exports/verl/sft_clean_train.parquet")}
    assert exported == trained


def test_from_labels_to_datasets(checkout):
    add_study(checkout)
    cards = [f"results/labels/datasets/{dataset}/clean/dataset_card.md" for dataset in ("sft", "dpo")]
    run(checkout, "datasets", "results/labels/study.json", *cards, config=("studies=labels",))
    results = checkout / "results/labels"
    posts = {f"gen-{number}": given == "sarc" for given, number, _ in post_rows()[:60]}
    tweets = {f"isarcasm-{number}": given == "1" for number, _, given, _, _ in tweet_rows()[:59]}
    rephrases = {f"isarcasm-{number}-rephrase": False for number, _, _, meant, _ in tweet_rows() if meant}
    truth = posts | tweets | rephrases

    scores = [json.loads(line) for line in (results / "scores/review_evaluations.jsonl").read_text().splitlines()]
    assert Counter(row["corpus"] for row in scores) == {"posts": 60, "tweets": 2 * 79}
    assert Counter(row["answers"]["agrees_with_label"] for row in scores) == {"yes": 60 + 79, "no": 79}

    splits = {}
    for corpus in ("posts", "tweets"):
        splits |= {row["prompt_id"]: row["split"] for row in read_rows(results / f"corpus/{corpus}/splits.parquet")}
    assert splits.keys() == truth.keys()
    assert all(splits[name] == splits[name.removesuffix("-rephrase")] for name in rephrases)

    def rendered(dataset):
        for split in ("train", "val"):
            for row in read_rows(results / f"datasets/{dataset}/clean/{split}.parquet"):
                assert splits[row["prompt_id"]] == split
                yield split, row

    sft = list(rendered("sft"))
    assert {row["prompt_id"]: said(row, "completion") for _, row in sft} == {
        name: "Yes" if sarcastic else "No" for name, sarcastic in posts.items() if splits[name] != "test"
    }
    assert Counter(split for split, _ in sft) == {"train": 42, "val": 6}

    pairs = list(rendered("dpo"))
    texts = {f"isarcasm-{number}": tweet for number, tweet, *_ in tweet_rows()}
    texts |= {f"isarcasm-{number}-rephrase": meant for number, _, _, meant, _ in tweet_rows()}
    for _, row in pairs:
        right, wrong = ("Yes", "No") if truth[row["prompt_id"]] else ("No", "Yes")
        assert said(row, "chosen").startswith(f"{right}. ")
        assert said(row, "rejected").startswith(f"{wrong}. ")
        assert len(said(row, "chosen").split()) == len(said(row, "rejected").split())
        assert row["prompt"][-1]["content"].endswith(f"\n\n{texts[row['prompt_id']]}")
    systems = {row["prompt"][0]["content"] for _, row in [*sft, *pairs]}
    assert len(systems) == 1  # one prompt, whatever the response
    assert len({row["prompt_id"] for _, row in pairs}) == len(pairs)
    for split in ("train", "val"):
        found = Counter(truth[row["prompt_id"]] for where, row in pairs if where == split)
        sarcastic = sum(splits[name] == split for name, is_sarcastic in tweets.items() if is_sarcastic)
        assert found == {True: sarcastic, False: sarcastic}  # the rarer label is used up

    chosen = json.loads((results / "datasets/dpo/choose.manifest.json").read_text())
    sources = Counter("rephrase" if row["prompt_id"] in rephrases else "tweet" for _, row in pairs)
    assert chosen["chosen_by_source"] == sources
    counts = chosen["counts"]["pairs"]
    assert counts["read"] == 79 == counts["kept"] + sum(counts["dropped"].values())
    assert counts["dropped"]["split_test"] == sum(splits[name] == "test" for name in tweets | rephrases)

    check_reports_and_exports(checkout, cards, {row["response_id"] for split, row in sft if split == "train"})
