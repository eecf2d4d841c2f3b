"""Winnow: score → select → pair → validate → SFT → DPO → compare. `snakemake -n` shows the plan."""

from snakemake.utils import min_version

min_version("9.25")


configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/inputs/corpus.smk"
include: "rules/inputs/scoring.smk"
include: "rules/inputs/datasets.smk"
include: "rules/inputs/training.smk"
include: "rules/inputs/evaluation.smk"
include: "rules/inputs/mining.smk"
include: "rules/inputs/cards.smk"
include: "rules/inputs/targets.smk"
include: "rules/corpus.smk"
include: "rules/scoring.smk"
include: "rules/datasets.smk"
include: "rules/training.smk"
include: "rules/evaluation.smk"
include: "rules/mining.smk"
include: "rules/cards.smk"
include: "rules/report.smk"


# Names for what people ask for: stages of every chosen study, and each run by its own name.


rule all:
    input:
        targets(lambda study: [f"results/{study}/report.html"]),
    localrule: True


rule scores:
    input:
        targets(lambda study: [f"results/{study}/scores/review_evaluations.jsonl"]),
    localrule: True


rule datasets:
    input:
        targets(lambda study: [*rendered(study).values(), *exports(study)]),
    localrule: True


rule validation:
    input:
        targets(validations),
    localrule: True


# What every training will take, before any is queued.
rule estimates:
    input:
        targets(lambda study: [f"results/{study}/runs/estimates.md"]),
    localrule: True


rule sft:
    input:
        complete_runs("sft"),
    localrule: True


rule dpo:
    input:
        complete_runs("dpo"),
    localrule: True


rule evaluation:
    input:
        targets(lambda study: [f"results/{study}/comparison/comparison.json"]),
    localrule: True


rule cards:
    input:
        targets(cards),
    localrule: True


rule report:
    input:
        targets(lambda study: [f"results/{study}/report.html"]),
    localrule: True


for run, files in runs_by_name().items():

    rule:
        name:
            run
        input:
            files,
        localrule: True
