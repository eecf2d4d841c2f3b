"""The plan of a study whose responses are scored by labels: no judge, no checklist, else the same jobs."""

import pytest

import labelled_study
from report_labels import label_study
from winnow.reporting.steps import STEPS
from workflow import plan, snakemake

CONFIG = ("studies=labels",)
SCORES = [f"Reading the corpus {corpus} of labels" for corpus in ("posts", "tweets")]
SCORES.append("Scoring the responses of labels by labels")


def made(dataset, corpus, verb):
    """The jobs that make one dataset."""
    return {
        "Preparing the base model text of labels",
        f"Splitting the prompts of {corpus} of labels",
        f"{verb} the responses of {dataset} of labels",
        *(f"{job} {dataset} of labels as clean" for job in ("Rendering", "Aligning")),
        f"Validating {dataset} of labels as clean, from source",
    }


def trained(stage):
    """The jobs of one run."""
    name = f"{stage}_clean of labels"
    return {f"Training {name} ({stage.upper()})", f"Checking the settings of {name}"}


SFT = {*SCORES, *made("sft", "posts", "Selecting")}
VALIDATION = {*SFT, *made("dpo", "tweets", "Pairing")}
EVALUATED = {
    *VALIDATION,
    *trained("sft"),
    *trained("dpo"),
    *(f"{job} the held-out rows of labels as clean" for job in ("Rendering", "Aligning")),
    *(f"Generating responses of {run} of labels" for run in ("base_clean", "sft_clean", "dpo_clean")),
    *(f"Evaluating {run} of labels" for run in ("base_clean", "sft_clean", "dpo_clean")),
    "Measuring the answers of labels",
}
REPORTED = {
    *EVALUATED,
    *(f"Exporting the datasets of labels for {name}" for name in ("llama_factory", "verl")),
    *(f"Writing the card of the dataset {name} of labels as clean" for name in ("sft", "dpo")),
    *(f"Writing the card of the model {name} of labels" for name in ("sft_clean", "dpo_clean")),
    *(f"Drawing the training curves of {name} of labels" for name in ("sft_clean", "dpo_clean")),
    "Comparing the runs of labels",
    "Saving the resolved settings of labels",
    "Collecting what labels has cost",
    "Writing the report of labels",
}
TARGETS = {
    "scores": {*SCORES},
    "datasets": {*VALIDATION, *(f"Exporting the datasets of labels for {name}" for name in ("llama_factory", "verl"))},
    "sft": {*SFT, *trained("sft")},
    "dpo": {*VALIDATION, *trained("sft"), *trained("dpo")},
    "results/labels/report.html": REPORTED,
}


@pytest.fixture
def labelled(checkout):
    labelled_study.add_study(checkout)
    return checkout


def test_targets_need_exactly_these_jobs(labelled):
    for target, jobs in TARGETS.items():
        assert plan(labelled, target, config=CONFIG) == sorted(jobs), target


def test_every_run_is_scored_on_the_datasets_of_right_words(labelled):
    """Checked before and while it trains: two runs, whatever they train on."""
    done = snakemake(labelled, "-n", "-p", "--config", *CONFIG, "--", "dpo")
    asked = [line for line in done.stdout.splitlines() if "--labels" in line]
    assert len(asked) == 4
    assert all(" --labels sft=results/labels/datasets/sft/clean/val.parquet --" in line for line in asked)
    assert all('"answers":{"not_sarcastic":"No","sarcastic":"Yes"}' in line for line in asked)


def test_status_asks_for_as_many_jobs_as_the_plan(tmp_path):
    """Steps and rules are two lists of one thing."""
    study = label_study(tmp_path)
    asked = {step.title: len(step.asked(study)) for step in STEPS if step.asked}
    assert sum(asked.values()) == len(REPORTED)
    judged = ("Judging", "Gathering scores", "Reading generated responses", "Measuring responses")
    assert [asked[title] for title in judged] == [0] * len(judged)


def test_nothing_is_judged_and_no_sheet_is_written(labelled):
    for file in ("scores/sheet.csv", "judged/generated-posts/0-of-1.jsonl", "evaluation/heldout/responses.parquet"):
        done = snakemake(labelled, "-n", "--config", *CONFIG, "--", f"results/labels/{file}", check=False)
        assert "MissingRuleException" in done.stdout + done.stderr


def test_labels_need_a_labelled_corpus(labelled):
    study = labelled / "studies/labels.yaml"
    study.write_text(study.read_text().replace("corpora:", "corpora:\n  papers: {adapter: demo}", 1))
    done = snakemake(labelled, "-n", "--config", *CONFIG, "--", "scores", check=False)
    assert "key corpora.papers: a corpus of the adapter demo has no words for labels" in done.stdout + done.stderr


def test_mined_pairs_follow_from_the_run_and_nothing_else_does(labelled):
    labelled_study.add_mistakes(labelled)
    training = "Training sft_clean of labels (SFT)"
    mined = {
        *(f"Asking sft_clean of labels the {split} prompts of mistakes" for split in ("train", "val")),
        "Gathering the mistakes of mistakes of labels",
        "Scoring the mistakes of mistakes of labels by labels",
        "Pairing the responses of mistakes of labels",
    }
    folder = "results/labels/datasets"
    jobs = set(plan(labelled, f"{folder}/mistakes/clean/dataset_card.md", config=CONFIG))
    assert {training, *mined, "Rendering asked of labels as clean"} <= jobs
    others = (f"{folder}/{name}/clean/validation.json" for name in ("sft", "dpo", "asked"))
    runs = ("results/labels/runs/dpo_clean/preflight.json", "results/labels/scores/scores.manifest.json")
    jobs = set(plan(labelled, *others, *runs, config=CONFIG))
    assert not jobs & {training, *mined}
    heldout = "results/labels/evaluation/heldout"
    jobs = set(plan(labelled, f"{heldout}/base_clean/metrics.json", f"{heldout}/sft_clean/metrics.json", config=CONFIG))
    assert training in jobs
    assert not jobs & mined
