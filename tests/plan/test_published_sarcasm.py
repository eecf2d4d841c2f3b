"""The sarcasm study as planned: every training has the published settings, and none of them waits for a judge."""

import itertools

import yaml

from winnow.core.study import load_site, load_study
from workflow import ROOT, plan, touch_raw_files

BETAS, SEEDS = (0.01, 0.02, 0.05, 0.1, 0.5), (42, 43, 44)
SWEPT = {f"dpo_clean-beta{beta}-seed{seed}": (beta, seed) for beta, seed in itertools.product(BETAS, SEEDS)}
TRAINED = {"sft_clean", "sft_full_clean", "dpo_rephrases_clean", "dpo_mistakes_clean", "dpo_gen_clean", *SWEPT}


def test_the_published_settings_are_resolved():
    site = load_site(yaml.safe_load((ROOT / "config.yaml").read_text()))
    study = load_study(ROOT / "studies/sarcasm.yaml", site, ROOT)
    assert study.runs.keys() == TRAINED
    for name, (beta, seed) in SWEPT.items():
        run = study.runs[name]
        assert (run.recipe["beta"], run.seed, run.parent, run.dataset) == (beta, seed, "sft_clean", "dpo")
    watched = {
        "metric": "macro_f1/gen",
        "mode": "max",
        "patience": 2,
        "guard": {"metric": "predicted_positive_rate/gen", "min": 0.2, "max": 0.8},
    }
    for run in study.runs.values():
        assert (run.recipe["early_stopping"], run.recipe["select"]) == (watched, "best")
        assert run.is_adapter == (run.name != "sft_full_clean")
    model = study.models["text"]
    assert (model.name, model.revision) == (
        "Qwen/Qwen2.5-0.5B-Instruct",
        "7ae557604adf67be50417f59c2c2f167def9a775",
    )
    splits = study.corpora["gen"].splits
    assert (splits.test, splits.val, splits.stratify) == (0.2, 0.08, "label")  # val: a tenth of what is not test
    assert study.datasets["mistakes"].run == "sft_clean"
    kinds = {name: study.corpora[study.datasets[study.runs[name].dataset].corpus].adapter for name in TRAINED}
    assert {name for name, adapter in kinds.items() if adapter == "sarcasm_v2"} == {
        "sft_clean",
        "sft_full_clean",
        "dpo_gen_clean",
    }


def test_the_whole_study_is_planned_without_a_judge(checkout):
    touch_raw_files(checkout)
    jobs = plan(checkout, "results/sarcasm/report.html", config=("studies=sarcasm",))
    trained = {job.split()[1] for job in jobs if job.startswith("Training ")}
    assert trained == TRAINED
    assert not [job for job in jobs if job.startswith("Judging")]
