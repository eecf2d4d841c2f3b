"""What a change makes run again, in a copy of a finished study: exactly what follows from it, and nothing else."""

import os
import re
import time

import pytest

from workflow import plan

MODALITIES = ("clean", "clean_images", "vision")
DPO = ["dpo_clean-beta0.05", *(f"dpo_{modality}-beta0.1" for modality in MODALITIES)]
SFT = [f"sft_{modality}" for modality in MODALITIES]
RUNS = [*DPO, *SFT, "sft_lora_clean"]
PAGES = ["Comparing the runs of demo", "Collecting what demo has cost", "Writing the report of demo"]
# What follows where responses are generated anew; the judge's cache has those of the other runs.
MEASURED = [
    "Reading the generated responses of demo",
    *(f"Judging generated-papers of demo, shard {shard} of 2" for shard in (0, 1)),
    "Measuring the generated responses of demo",
    *PAGES,
]
SAVED = "Saving the resolved settings of demo"
CARDS = [
    *(f"Writing the card of the dataset {data} of demo as {name}" for data in ("dpo", "sft") for name in MODALITIES),
    *(f"Writing the card of the model {run} of demo" for run in RUNS),
]
# What follows from any change of the study, however small: the settings are saved and told anew.
TOLD = [SAVED, *CARDS]


def edit(file, old, new):
    text = file.read_text()
    assert old in text, f"{file.name} does not hold {old!r}"
    file.write_text(text.replace(old, new))


def remark(file):
    """Change a Python file's bytes without changing what it does."""
    file.write_text(file.read_text() + "\n# A remark.\n")


def retrained(*runs):
    """The jobs that follow from training some runs again."""
    stages = {run: "DPO" if run.startswith("dpo") else "SFT" for run in runs}
    jobs = [f"Training {run} of demo ({stage})" for run, stage in stages.items()]
    jobs += [f"Merging the adapter of {run} of demo" for run in runs if "lora" in run]
    return [
        *jobs,
        *(
            job
            for run in runs
            for job in (
                f"Drawing the training curves of {run} of demo",
                f"Generating responses of {run} of demo",
                f"Evaluating {run} of demo",
            )
        ),
    ]


def of_people(jobs):
    """Leave out the jobs that read and judge what models wrote."""
    return [job for job in jobs if job not in MEASURED]


def cards(*runs):
    return [f"Writing the card of the model {run} of demo" for run in runs]


def checked(*runs):
    return [f"Checking the settings of {run} of demo" for run in runs]


def test_a_moved_checkout_reruns_nothing(demo):
    assert plan(demo) == []


def test_touched_files_rerun_nothing(demo):
    later = time.time() + 100
    for folder in ("results", "workflow_scripts", "resources", "studies", "recipes", "envs"):
        for file in (demo / folder).rglob("*"):
            if file.is_file():
                os.utime(file, (later, later))
    assert plan(demo) == []


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("studies/demo.yaml", "# Synthetic papers", "# Made-up papers"),
        ("config.yaml", "trackers: []", "trackers: [tensorboard]"),
        ("config.yaml", "data: null", "data: python3"),
        ("studies/demo.yaml", "recipe: recipes/sft_tiny.yaml, threads: 1", "recipe: recipes/sft_tiny.yaml, threads: 2"),
        ("envs/train.yaml", "channels: [conda-forge]", "channels: [conda-forge]  # a comment"),
    ],
    ids=["comment", "trackers", "interpreter", "threads", "environment comment"],
)
def test_what_changes_no_result_retrains_nothing(demo, name, old, new):
    edit(demo / name, old, new)
    # The saved settings and the page that shows them follow the study; nothing else does.
    assert set(plan(demo)) <= {SAVED, "Writing the report of demo"}


def test_other_gpus_retrain_nothing(demo):
    edit(demo / "config.yaml", "memory_gb: null", "memory_gb: 80")
    assert plan(demo) == []


def test_a_new_beta_trains_one_run(demo):
    edit(demo / "studies/demo.yaml", "beta: [0.05]", "beta: [0.05, 0.5]")
    run = "dpo_clean-beta0.5"
    expected = [
        *checked(run),
        *retrained(run),
        *cards(run),
        *MEASURED,
        *TOLD,
        "Exporting the datasets of demo for llama_factory",
    ]
    assert plan(demo) == sorted(expected)


def test_a_changed_dpo_setting_leaves_sft_alone(demo):
    edit(demo / "recipes/dpo_tiny.yaml", "label_smoothing: 0.0", "label_smoothing: 0.1")
    expected = [*checked(*DPO), *retrained(*DPO), *MEASURED, *TOLD, "Exporting the datasets of demo for llama_factory"]
    assert plan(demo) == sorted(expected)


def test_a_changed_sft_setting_retrains_its_children_only(demo):
    edit(demo / "recipes/sft_tiny.yaml", "weight_decay: 0.0", "weight_decay: 0.1")
    expected = [*checked(*SFT), *retrained(*SFT, *DPO), *MEASURED, *TOLD]
    assert plan(demo) == sorted([*expected, "Exporting the datasets of demo for llama_factory"])


def test_a_changed_pairing_threshold_rescores_nothing_and_leaves_sft_alone(demo):
    edit(demo / "studies/demo.yaml", "policy: contrastive}", "policy: contrastive, max_pairs_per_prompt: 1}")
    data = ["Pairing the responses of dpo of demo"]
    for modality in MODALITIES:
        data += [f"{job} dpo of demo as {modality}" for job in ("Rendering", "Aligning")]
        data += [f"Validating dpo of demo as {modality}, from source"]
    data += [f"Exporting the datasets of demo for {name}" for name in ("llama_factory", "verl")]
    evaluated = [f"Evaluating {run} of demo" for run in (*(f"base_{name}" for name in MODALITIES), *RUNS)]
    expected = {*data, *checked(*DPO), *retrained(*DPO), *evaluated, *MEASURED, *TOLD}
    assert plan(demo) == sorted(expected)


def test_a_changed_fraction_rescores_nothing(demo):
    edit(demo / "studies/demo.yaml", "fraction: 0.2", "fraction: 0.3")
    jobs = of_people(plan(demo))
    assert "Selecting the responses of sft of demo" in jobs
    assert not [job for job in jobs if re.match(r"Judging|Gathering|Reading|Splitting|Pairing|Preparing", job)]


@pytest.mark.parametrize(
    "changed",
    ["gates: {max_order_flip_rate: 0.05}", "reliability: {sheet_rows: 50}", "judge: {backend: lexical, mem_mb: 8000}"],
)
def test_what_the_judge_is_not_told_rejudges_nothing(demo, changed):
    edit(
        demo / "studies/demo.yaml",
        "judge: {backend: lexical}",
        f"judge: {{backend: lexical}}\n  {changed}" if "judge:" not in changed else changed,
    )
    jobs = of_people(plan(demo))
    assert not [job for job in jobs if job.startswith("Judging")]
    assert ("Gathering the scores of demo" in jobs) == ("judge:" not in changed)


def test_a_larger_sample_judges_the_sample_again_and_not_the_corpus(demo):
    edit(
        demo / "studies/demo.yaml",
        "judge: {backend: lexical}",
        "judge: {backend: lexical}\n  reliability: {sample: 300}",
    )
    judging = [job for job in of_people(plan(demo)) if job.startswith("Judging")]
    assert judging == [f"Judging {kind}-papers of demo, shard 0 of 1" for kind in ("injected", "reordered", "retest")]


def test_the_training_code_reruns_training_only(demo):
    remark(demo / "workflow_scripts/train_dpo.py")
    assert plan(demo) == sorted([*retrained(*DPO), *cards(*DPO), *MEASURED])


def test_the_report_code_reruns_the_report_only(demo):
    remark(demo / "workflow_scripts/build_report.py")
    assert plan(demo) == ["Writing the report of demo"]


def test_the_judging_code_judges_again(demo):
    remark(demo / "workflow_scripts/judge_responses.py")
    jobs = of_people(plan(demo))
    assert {"Judging corpus-papers of demo, shard 0 of 2", "Judging corpus-papers of demo, shard 1 of 2"} <= set(jobs)
    assert not [job for job in jobs if re.match(r"Reading|Splitting|Preparing", job)]


def test_a_bumped_pin_reruns_what_it_touches(demo):
    text = (demo / "envs/report.yaml").read_text()
    (demo / "envs/report.yaml").write_text(re.sub(r"jinja2==\S+", "jinja2==9.9.9", text))
    curves = [f"Drawing the training curves of {run} of demo" for run in RUNS]
    assert plan(demo) == sorted([*curves, *CARDS, *MEASURED[-len(PAGES) - 1 :]])


def test_a_deleted_output_is_made_again_with_what_follows(demo):
    (demo / "results/demo/report.html").unlink()
    assert plan(demo) == ["Writing the report of demo"]
    (demo / "results/demo/comparison/comparison.json").unlink()
    assert plan(demo) == sorted(PAGES)


def test_a_longer_context_of_one_modality_is_rendered_alone_and_chooses_nothing(demo):
    edit(demo / "studies/demo.yaml", "vision: {model: vision, context: 1088", "vision: {model: vision, context: 1089")
    jobs = of_people(plan(demo))
    assert "Rendering sft of demo as vision" in jobs
    assert "Drawing the images of papers of demo for vision" not in jobs
    # The same rows in every modality: what fits into one decides about all.
    assert "Aligning sft of demo as clean" in jobs
    assert "Rendering sft of demo as clean" not in jobs
    assert not [job for job in jobs if re.match(r"Judging|Gathering|Reading|Splitting|Pairing|Selecting", job)]


def test_an_intermediate_file_that_nothing_asks_for_may_be_deleted(demo):
    (demo / "results/demo/judged/corpus-papers/0-of-2.jsonl").unlink()
    assert plan(demo) == []
    assert plan(demo, "results/demo/judged/corpus-papers/0-of-2.jsonl") == [
        "Judging corpus-papers of demo, shard 0 of 2"
    ]
