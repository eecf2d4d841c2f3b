"""What Snakemake would do from an empty checkout: the list of jobs for each target."""

import re

import pytest

from workflow import plan, snakemake, touch_raw_files

CORPUS = ["Reading the corpus papers of demo", "Splitting the prompts of papers of demo"]
SCORES = [
    "Gathering the scores of demo",
    "Judging corpus-papers of demo, shard 0 of 2",
    "Judging corpus-papers of demo, shard 1 of 2",
    *(f"Judging {kind}-papers of demo, shard 0 of 1" for kind in ("injected", "reordered", "retest")),
    "Reading the corpus papers of demo",
]
CHOICES = ["Pairing the responses of dpo of demo", "Selecting the responses of sft of demo"]
MODALITIES = ("clean", "clean_images", "vision")
DRAWN = [f"Drawing the images of papers of demo for {modality}" for modality in MODALITIES[1:]]
MODELS = ["Preparing the base model text of demo", "Preparing the base model vision of demo"]
RENDERED = [
    f"{job} {dataset} of demo as {modality}"
    for job in ("Rendering", "Aligning")
    for dataset in ("dpo", "sft")
    for modality in MODALITIES
]
EXPORTED = ["Exporting the datasets of demo for llama_factory", "Exporting the datasets of demo for verl"]
# All modalities have the same rows, so the data of one need the rendering of all.
DATA = {*SCORES, *CORPUS, *CHOICES, *MODELS, *DRAWN, *RENDERED}


def validated(*modalities):
    return {f"Validating {dataset} of demo as {name}, from source" for dataset in ("dpo", "sft") for name in modalities}


VALIDATION = {*DATA, *validated(*MODALITIES)}
DATASETS = {*VALIDATION, *EXPORTED}
RUNS = {
    "sft_clean": "SFT",
    "sft_clean_images": "SFT",
    "sft_vision": "SFT",
    "sft_lora_clean": "SFT",
    "dpo_clean-beta0.05": "DPO",
    "dpo_clean-beta0.1": "DPO",
    "dpo_clean_images-beta0.1": "DPO",
    "dpo_vision-beta0.1": "DPO",
}


def trained(*runs):
    """The jobs of some runs, their data aside."""
    jobs = {f"Training {run} of demo ({RUNS[run]})" for run in runs}
    jobs |= {f"Checking the settings of {run} of demo" for run in runs}
    return jobs | {f"Merging the adapter of {run} of demo" for run in runs if "lora" in run}


ALL = trained(*RUNS)
ONE_DPO = {*DATA, *validated("clean"), *trained("sft_clean", "dpo_clean-beta0.1")}
ANY_JUDGE = ('interpreters={"judge": "sh"}',)  # what it would run with does not change a plan
EVALUATION = [
    "Comparing the runs of demo",
    *(f"{job} the held-out rows of demo as {name}" for job in ("Rendering", "Aligning") for name in MODALITIES),
    *(
        f"{job} {run} of demo"
        for job in ("Generating responses of", "Evaluating")
        for run in (*(f"base_{modality}" for modality in MODALITIES), *RUNS)
    ),
    "Reading the generated responses of demo",
    *(f"Judging generated-papers of demo, shard {shard} of 2" for shard in (0, 1)),
    "Measuring the generated responses of demo",
]
# Models are described by their likelihoods, for which nothing is judged.
LIKELIHOODS = [job for job in EVALUATION if not re.match("Comparing|Reading|Judging|Measuring", job)]
CARDS = [
    *(f"Writing the card of the dataset {data} of demo as {name}" for data in ("dpo", "sft") for name in MODALITIES),
    *(f"Writing the card of the model {run} of demo" for run in RUNS),
]
REPORT = [
    *CARDS,
    "Saving the resolved settings of demo",
    "Collecting what demo has cost",
    "Writing the report of demo",
    *(f"Drawing the training curves of {run} of demo" for run in RUNS),
]

TARGETS = {
    "scores": SCORES,
    "datasets": DATASETS,
    "validation": VALIDATION,
    "estimates": {
        *VALIDATION,
        *(f"Checking the settings of {run} of demo" for run in RUNS),
        "Writing down what the runs of demo will take",
    },
    "sft": {*VALIDATION, *trained(*(run for run in RUNS if RUNS[run] == "SFT"))},
    "dpo": {*VALIDATION, *ALL - trained("sft_lora_clean")},
    "dpo_clean-beta0.1": ONE_DPO,
    "results/demo/runs/dpo_clean-beta0.1/manifest.json": ONE_DPO,
    "results/demo/models/text/manifest.json": {MODELS[0], CORPUS[0]},
    "evaluation": {*VALIDATION, *ALL, *EVALUATION},
    "results/demo/judged/generated-papers/1-of-2.jsonl": {
        *VALIDATION,
        *ALL,
        *(job for job in LIKELIHOODS if not job.startswith("Evaluating")),
        "Reading the generated responses of demo",
        "Judging generated-papers of demo, shard 1 of 2",
    },
    "cards": {*VALIDATION, *ALL, *LIKELIHOODS, *CARDS},
    "report": {*DATASETS, *ALL, *EVALUATION, *REPORT},
    "all": {*DATASETS, *ALL, *EVALUATION, *REPORT},
}


# SFT does not look at pairs, so that a changed pairing threshold cannot retrain it.
WITHOUT_DPO = {name for name in VALIDATION if " dpo of demo" in name}


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_needs_exactly_these_jobs(checkout, target):
    expected = set(TARGETS[target]) - (WITHOUT_DPO if target == "sft" else set())
    assert plan(checkout, target) == sorted(expected)


def test_every_study_has_a_plan(checkout):
    touch_raw_files(checkout)
    for study in sorted(path.stem for path in (checkout / "studies").glob("*.yaml")):
        assert f"Writing the report of {study}" in plan(checkout, f"results/{study}/report.html", config=ANY_JUDGE)


def test_a_checklist_is_chosen_between_two_rounds_of_judging(checkout):
    touch_raw_files(checkout)
    jobs = plan(checkout, "results/peer_review/scores/review_evaluations.jsonl", config=ANY_JUDGE)
    shards = [f"shard {number} of 4" for number in range(4)]
    assert jobs == sorted(
        [
            "Reading the corpus iclr of peer_review",
            "Splitting the prompts of iclr of peer_review",
            "Preparing the base model judge of peer_review",
            "Preparing the base model second_judge of peer_review",
            "Choosing the checklist of peer_review",
            "Gathering the scores of peer_review",
            *(f"Judging {kind}-iclr of peer_review, {shard}" for kind in ("corpus", "candidates") for shard in shards),
            *(
                f"Judging {kind}-iclr of peer_review, shard 0 of 1"
                for kind in ("candidates_retest", "candidates_retest2", "retest", "reordered", "injected", "second")
            ),
        ]
    )


def test_a_judge_without_its_environment_is_said_before_anything_runs(checkout):
    touch_raw_files(checkout)
    missing = "config.yaml, key interpreters.judge: .venv-judge/bin/python: there is no such interpreter"
    target = "results/peer_review/judged/corpus-iclr/0-of-4.jsonl"
    done = snakemake(checkout, "--cores", "1", "--", target, check=False)
    assert done.returncode
    assert missing in done.stderr
    assert "make judge" in done.stderr
    assert not (checkout / "results").exists()
    dry = snakemake(checkout, "--dry-run", "--", target)
    assert (dry.stdout + dry.stderr).count(missing) == 1
    assert "Job stats" in dry.stdout


def test_a_judge_with_an_unknown_model_is_named(checkout):
    study = checkout / "studies" / "demo.yaml"
    study.write_text(study.read_text().replace("judge: {backend: lexical}", "judge: {backend: vllm, model: txet}"))
    said = refused(checkout)
    assert "studies/demo.yaml, key signal.judge.model: 'txet' is not defined" in said
    assert "did you mean 'text'?" in said


def refused(checkout, *arguments):
    done = snakemake(checkout, "--dry-run", *arguments, check=False)
    assert done.returncode != 0
    assert "Traceback (most recent call last)" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_missing_data_file_is_named_with_its_key(checkout):
    said = refused(checkout, "results/peer_review/report.html")
    assert (
        "studies/peer_review.yaml, key corpora.iclr: data/iclr_reviews/papers.jsonl.gz: there is no such file" in said
    )
    assert "data_root" in said


def test_an_unknown_key_in_a_study_stops_the_plan_with_its_place(checkout):
    study = checkout / "studies" / "demo.yaml"
    study.write_text(study.read_text().replace("fraction: 0.2", "fractoin: 0.2"))
    assert "studies/demo.yaml: key datasets.sft.fractoin: unknown key; did you mean 'fraction'?" in refused(checkout)


def test_an_unknown_study_in_the_site_is_named(checkout):
    assert "there is no studies/dmeo.yaml" in refused(checkout, "--config", "studies=dmeo")


def test_a_misspelt_run_fits_no_rule(checkout):
    said = refused(checkout, "results/demo/runs/dpo_clean-beta0.2/manifest.json")
    assert "MissingRuleException" in said or "No rule to produce" in said


SFT_OF_DEMO = "sft_{modality}: {stage: sft, dataset: sft, recipe: recipes/sft_tiny.yaml, threads: 1}"


def change_sft(checkout, keys):
    study = checkout / "studies" / "demo.yaml"
    text = study.read_text()
    assert SFT_OF_DEMO in text
    study.write_text(text.replace(SFT_OF_DEMO, SFT_OF_DEMO.replace("threads: 1", f"threads: 1, {keys}")))


def test_several_processes_are_launched_and_a_recipes_files_are_inputs(checkout):
    recipe = checkout / "recipes" / "sft_tiny.yaml"
    recipe.write_text(recipe.read_text() + "deepspeed: resources/deepspeed/zero3.json\n")
    change_sft(checkout, "processes: 2")
    said = snakemake(checkout, "--dry-run", "--printshellcmds", "--", "sft_clean").stdout
    assert "workflow_scripts/launch.py --processes 2 workflow_scripts/train_sft.py --spec" in said
    (checkout / "resources" / "deepspeed" / "zero3.json").unlink()
    assert "resources/deepspeed/zero3.json" in refused(checkout, "sft_clean")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("gpu: 4, processes: 2", "key runs.sft_{modality}.processes: is 2, but each of 4 GPUs has one"),
        ("processes: 3, nodes: 2", "key runs.sft_{modality}.nodes: 3 processes do not divide by 2"),
    ],
)
def test_processes_that_cannot_be_started_are_named(checkout, keys, message):
    change_sft(checkout, keys)
    assert message in refused(checkout, "sft_clean")
