"""What a reader of a card must not believe of a model or a dataset: sentences by rule from settings and counts."""

from collections.abc import Mapping
from typing import Any

from winnow.core.config.datasets import ByLabel, Contrastive, Dataset, EveryRight, Mined, TopFraction
from winnow.core.config.runs import ResolvedRun
from winnow.core.config.signals import ChecklistSignal, LabelSignal, Signal
from winnow.core.config.studies import ResolvedStudy
from winnow.reporting.sources import Results

FEW = 100  # rows below which a share has an interval of more than 20 points


def choice(dataset: Dataset) -> str:
    """Say how a dataset's rows were chosen."""
    match dataset:
        case Contrastive():
            decided = f" to prompts decided {dataset.decision}" if dataset.decision else ""
            return (
                f"pairs of responses{decided}, the chosen one rated at least {dataset.min_rating_diff:g} higher and"
                f" with at least {dataset.min_checkmark_diff} more checkmarks."
            )
        case ByLabel():
            balanced = ", as many of each label" if dataset.balance else ""
            if dataset.minimal_pairs:
                balanced = ", for a text and its author's rephrase of the other label"
            return (
                f"pairs of a response that agrees with its prompt's label and one of the same template that does"
                f" not{balanced}."
            )
        case Mined():
            balanced = ", as many of each label" if dataset.balance else ""
            return (
                "pairs of the right word and a wrong answer that the finished model of run"
                f" `{dataset.run}` gave to the same prompt itself{balanced}."
            )
        case TopFraction():
            return f"the best {dataset.fraction:.0%} of the eligible responses by their checkmarks."
        case EveryRight():
            return "every response that the signal says is right."


def warnings(study: ResolvedStudy, corpora: set[str], model: str | None) -> list[str]:
    """Say what makes numbers no result at all: made-up data, a random model."""
    found = []
    if made_up := sorted(name for name in corpora if study.corpora[name].adapter == "demo"):
        found.append(
            f"The corpus ({', '.join(made_up)}) is synthetic, made by a seeded generator: it shows that the machinery"
            " works, and nothing about reviews."
        )
    if model is not None and study.models[model].tiny is not None:
        found.append("The base model is tiny and random: what it writes means nothing.")
    return found


def _of_signal(signal: Signal) -> str:
    """Return what the way responses were scored leaves open."""
    match signal:
        case ChecklistSignal():
            return (
                "Responses were chosen by a checklist that a judge answered, not by people who read them (judge:"
                f" {signal.judge.backend}); whether its checkmarks track quality is told in the study's report."
            )
        case LabelSignal():
            return (
                "Responses were scored by whether they begin with the word for their prompt's label; the labels are"
                " those of the corpus, and nobody has checked them."
            )


def scored_by(signal: Signal, judge: Mapping[str, Any]) -> str:
    """Say what the scores of a dataset come from.

    Args:
        signal: the study's.
        judge: what the manifest of the scores says of the judge.
    """
    match signal:
        case ChecklistSignal():
            return (
                f"Judged by `{judge['model']}` (revision {judge['revision']}, mode {judge['mode']}) with the checklist"
                f" of hash `{judge['checklist_sha']}`."
            )
        case LabelSignal():
            return "Scored by the labels of the prompts: a response is good if its first word is the label's."


def _of_data(study: ResolvedStudy, dataset: Dataset) -> list[str]:
    """Return what holds for a dataset and for every model that is trained on it."""
    authors = sorted(study.corpora[dataset.corpus].author_kinds)
    found = [_of_signal(study.signal)]
    if study.corpora[dataset.corpus].has_templates:
        found.append("Responses were put together from templates: their wording is not that of people.")
    if "model" in authors or isinstance(dataset, Mined):
        found.append(
            "Some or all responses were written by models; the terms of their makers may forbid training on them."
        )
    if isinstance(dataset, Contrastive) and dataset.min_rating_diff > 0:
        found.append(
            "The chosen response of a pair has the higher rating, so a model may learn to be positive rather than good."
        )
    if study.license == "unknown":
        found.append("Nobody has said under which licence data or model may be passed on (the study's key `license`).")
    return found


def of_model(results: Results, study: ResolvedStudy, run: ResolvedRun, manifest: Mapping[str, Any]) -> list[str]:
    """Return the limits of a finished model."""
    found = _of_data(study, study.datasets[run.dataset])
    kin = {
        other.seed
        for other in study.runs.values()
        if other.model_dump(exclude={"name", "seed"}) == run.model_dump(exclude={"name", "seed"})
    }
    found.append(
        f"Trained with {len(kin)} random seed{'s' if len(kin) > 1 else ''}: "
        + ("how much numbers differ from seed to seed was not measured." if len(kin) == 1 else "compare them.")
    )
    rows = manifest["counts"]["rows"]
    if rows["train"] < FEW or rows["val"] < FEW:
        found.append(f"Few rows: {rows['train']} to train on, {rows['val']} to measure on while training.")
    metrics = results.json(f"evaluation/heldout/{run.name}/metrics.json") or {}
    if metrics and metrics.get("weights") not in (None, _finished_weights(results, run)):
        found.append("**The measurements are of other weights than these: evaluate again.**")
    generated = (metrics.get("generations") or {}).get("n") or 0
    found.append(f"No person has judged what it writes; {generated} responses were generated to be looked at.")
    return found


def _finished_weights(results: Results, run: ResolvedRun) -> Any:
    last = "merge" if run.is_adapter else "manifest"
    return (results.json(f"runs/{run.name}/{last}.json") or {}).get("weights")


def of_dataset(study: ResolvedStudy, dataset: Dataset, rows: Mapping[str, int]) -> list[str]:
    """Return the limits of a dataset."""
    found = _of_data(study, dataset)
    found += [f"Few rows in {split}: {count}." for split, count in rows.items() if count < FEW]
    found.append("Texts are those of the corpus: they may name people and say what is false.")
    return found
