"""A small study of labelled texts: its YAML and its two raw files, made up, for plan and pipeline tests."""

import csv
from pathlib import Path

from winnow.core.ids import unit_interval

STUDY = """
study: labels
corpora:
  posts:
    adapter: sarcasm_v2
    path: "{data_root}/posts"
    parts: [GEN]
    splits: {val: 0.1, test: 0.2, optimize: 0, stratify: label}
  tweets:
    adapter: isarcasm
    path: "{data_root}/tweets.csv"
    exclude: [posts]
    reasons: resources/reasons/sarcasm.yaml
    splits: {val: 0.2, test: 0.1, optimize: 0, stratify: label}
signal: {kind: label}
datasets:
  sft: {stage: sft, corpus: posts, policy: all}
  dpo: {stage: dpo, corpus: tweets, policy: by_label}
modalities:
  clean: {model: text, context: 512, response_tokens: 48}
models:
  text: {tiny: {vocab_size: 1024}}
runs:
  sft_{modality}: {stage: sft, dataset: sft, recipe: recipes/sft_tiny.yaml, threads: 1}
  dpo_{modality}: {stage: dpo, dataset: dpo, parent: "sft_{modality}", recipe: recipes/dpo_tiny.yaml, threads: 1}
exports: [llama_factory, verl]
"""
MINED_CORPUS = """  plain:
    adapter: isarcasm
    path: "{data_root}/tweets.csv"
    exclude: [posts]
    splits: {val: 0.2, test: 0.1, optimize: 0, stratify: label}
"""
MINED_DATASETS = """  asked: {stage: sft, corpus: plain, policy: all}
  mistakes:
    {stage: dpo, policy: mined, corpus: plain, prompts: asked, run: "sft_{modality}", samples: 3, length_caliper: null}
"""
SAID = (
    "the game train phone weather meeting coffee traffic movie budget dinner neighbour report holiday was great again"
    " today because nobody slept until monday morning with my boss and his dog"
)
WORDS = SAID.split()


def text(key: str, count: int = 14) -> str:
    """Words that depend on the key alone."""
    return " ".join(WORDS[int(unit_interval(f"{key}/{place}") * len(WORDS))] for place in range(count))


def post_rows() -> list[tuple[str, int, str]]:
    """Sixty posts, half of them sarcastic, and a copy of the first."""
    rows = [("sarc" if i % 2 else "notsarc", i, f"{text(f'post {i}')}, number {i}.") for i in range(60)]
    return [*rows, (rows[0][0], 900, rows[0][2])]


def tweet_rows() -> list[tuple[int, str, str, str, str]]:
    """Sixty tweets, twenty of them sarcastic with a rephrase; the last has the text of a post."""
    rows = []
    for i in range(60):
        rephrase = f"I mean it: {text(f'rephrase {i}')} @{i}" if i < 20 else ""
        rows.append((i, f"{text(f'tweet {i}')},\nwith a break #{i}", "1" if i < 20 else "0", rephrase, ""))
    return [*rows[:-1], (59, post_rows()[3][2].upper(), "0", "", "")]


def add_mistakes(checkout: Path) -> None:
    """Add a dataset of the SFT run's own mistakes on tweets to the study of a checkout."""
    study = checkout / "studies/labels.yaml"
    text_ = study.read_text()
    for key, more in (("signal:", MINED_CORPUS), ("modalities:", MINED_DATASETS)):
        text_ = text_.replace(f"\n{key}", f"\n{more}{key}")
    study.write_text(text_)


def add_study(checkout: Path) -> None:
    """Put the study and its raw files into a checkout."""
    (checkout / "studies/labels.yaml").write_text(STUDY)
    folder = checkout / "data/posts"
    folder.mkdir(parents=True)
    with (folder / "GEN-sarc-notsarc.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("class", "id", "text"), *post_rows()])
    with (checkout / "data/tweets.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("", "tweet", "sarcastic", "rephrase", "sarcasm"), *tweet_rows()])
