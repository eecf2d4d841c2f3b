"""Validate the datasets of a finished study again, from a terminal; nothing is written.

Input: results/<study>, with the study.json that its run saved. Every dataset of the stage is validated in every
modality that was rendered there, by the same rules as in the workflow. The exit status is 2 if a rule fails.

    python workflow_scripts/validate.py --results results/demo --stage all
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from winnow.core.config.datasets import IMAGE_KEYS
from winnow.core.config.studies import ResolvedStudy
from winnow.core.entry import run
from winnow.core.errors import WinnowError
from winnow.core.files import read_json
from winnow.core.mined import mined_datasets
from winnow.core.study import parse
from winnow.datasets.evidence import Paths, ValidationSpec
from winnow.datasets.validate import failed_rules, validate


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="results/<study>")
    parser.add_argument("--stage", choices=("sft", "dpo", "all"), default="all")
    return parser.parse_args()


def read_study(results: Path) -> ResolvedStudy:
    """Read the settings that a study was run with.

    Raises:
        WinnowError: if they are not there.
    """
    file = results / "study.json"
    if not file.is_file():
        raise WinnowError(file, "there is no such file", f"run `snakemake {file}`, or give another results folder")
    return parse(ResolvedStudy, read_json(file), file)


def spec_of(study: ResolvedStudy, dataset: str, modality: Any) -> ValidationSpec:
    """Return what the workflow tells validate_dataset.py about a dataset in a modality."""
    policy, budget = study.datasets[dataset], study.modalities[modality]
    corpus = study.corpora[policy.corpus]
    content = {
        "stage": policy.stage,
        "dataset": dataset,
        "modality": modality,
        "policy": policy.model_dump(mode="json") | {"min_answered": study.signal.min_answered},
        "corpus": policy.corpus,
        "answers": study.answers_of(policy.corpus),
        "min_prompt_chars": corpus.min_prompt_chars,
        "splits": corpus.splits.model_dump(mode="json"),
        "prompt_fields": corpus.prompt_fields,
        "template": corpus.template,
        "context": budget.context,
        "response_tokens": budget.response_tokens,
        "images": None if modality == "clean" else budget.model_dump(include=set(IMAGE_KEYS)),
    }
    return parse(ValidationSpec, content, "study.json")


def paths_of(results: Path, study: ResolvedStudy, dataset: str, modality: str) -> Paths:
    """Return where the workflow put a dataset's files and its sources."""
    corpus, made = results / "corpus" / study.datasets[dataset].corpus, results / "datasets" / dataset
    mined = mined_datasets(study.datasets).get(dataset)
    own = corpus if mined is None else made
    return Paths(
        train=made / modality / "train.parquet",
        val=made / modality / "val.parquet",
        chosen=made / "chosen.parquet",
        ledger=made / "ledger.parquet",
        prompts=corpus / "prompts.parquet",
        responses=own / "responses.parquet",
        splits=corpus / "splits.parquet",
        scores=(results if mined is None else made) / "scores" / "review_evaluations.jsonl",
        checklist=None if study.signal.checklist is None else Path(study.signal.checklist),
        left_out=made / modality / "left_out.parquet",
        images=None if modality == "clean" else corpus / "images" / f"{modality}.parquet",
        generations={}
        if mined is None
        else {split: made / "mined" / mined.run / f"{split}.generations.jsonl" for split in ("train", "val")},
        others={
            name: results / "datasets" / name / "chosen.parquet"
            for name, other in study.datasets.items()
            if name != dataset and other.corpus == study.datasets[dataset].corpus
        },
        modalities={
            f"{other}/{file}": made / other / f"{file}.parquet"
            for other in study.modalities
            for file in ("train", "val", "left_out")
            if study.same_rows and other != modality
        },
    )


def reports(results: Path, study: ResolvedStudy, stage: str) -> Iterator[dict[str, Any]]:
    """Yield the report of each dataset and modality of a stage that was rendered."""
    for dataset, policy in study.datasets.items():
        for modality, settings in study.modalities.items():
            paths = paths_of(results, study, dataset, modality)
            if stage in {policy.stage, "all"} and paths.train.is_file():
                yield validate(spec_of(study, dataset, modality), paths, results / "models" / settings.model)


def main() -> None:
    """Validate and print a table of rules; fail if one does."""
    args = parse_args()
    failed: list[str] = []
    found = False
    for report in reports(args.results, read_study(args.results), args.stage):
        found = True
        place = f"{report['dataset']}/{report['modality']}"
        print(f"{place}: {'ok' if report['ok'] else 'FAILED'}")
        for rule in report["rules"]:
            print(f"  {rule['status']:<14} {rule['id']:<4} {rule['checked']:>9,} checked  {rule['name']}")
            for example in rule["examples"]:
                print(f"      {example['id']}: {example['what']}")
        failed += [f"{place} {line}" for line in failed_rules(report)]
    if not found:
        raise WinnowError(args.results, f"holds no rendered datasets of stage {args.stage}", "run `snakemake datasets`")
    if failed:
        raise WinnowError(args.results, "rules fail\n  " + "\n  ".join(failed), "mend the cause and rerun")


if __name__ == "__main__":
    run(main, environment="train")
