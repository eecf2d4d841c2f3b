"""The steps of a study in their order: what each is called, where its log lies, and which file says that it is done.

The rules hold the same paths; a test compares them. Here they are needed without Snakemake.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from winnow.core.config.studies import ResolvedStudy
from winnow.core.mined import mined_datasets

Names = tuple[tuple[str, str], ...]  # of one job: what stands for {corpus}, {run}, ..., sorted

# Of names that stand beside each other in one file's name; others hold anything but a slash.
_PATTERNS = {"modality": "clean|clean_images|vision", "shard": r"\d+", "shards": r"\d+", "split": "train|val"}


def names(**values: str) -> Names:
    """Return the names of a job."""
    return tuple(sorted(values.items()))


@dataclass(frozen=True)
class Step:
    """A kind of job.

    Attributes:
        title: what it does, in a few words.
        log: below logs/, without ".log".
        done: the file, below results/<study>/, that it writes last.
        asked: what a study as it is now wants of it; None where that depends on more than its settings, so that
            only what has begun is known.
    """

    title: str
    log: str
    done: str
    asked: Callable[[ResolvedStudy], list[Names]] | None = None

    @property
    def log_file(self) -> str:
        """The log below results/<study>/."""
        return f"logs/{self.log}.log"

    def begun(self, results: Path) -> set[Names]:
        """Return the jobs that left a log or their last file."""
        return {*_found(results, self.log_file), *_found(results, self.done)}


def _found(results: Path, pattern: str) -> Iterator[Names]:
    """Yield the names of every file of a pattern."""
    parts = re.split(r"\{(\w+)\}", pattern)
    regex = "".join(
        f"(?P<{part}>{_PATTERNS.get(part, '[^/]+')})" if at % 2 else re.escape(part) for at, part in enumerate(parts)
    )
    for file in results.glob(re.sub(r"\{\w+\}", "*", pattern)):
        if match := re.fullmatch(regex, file.relative_to(results).as_posix()):
            yield names(**match.groupdict())


def _once(_study: ResolvedStudy) -> list[Names]:
    return [()]


def _corpora(study: ResolvedStudy) -> list[Names]:
    return [names(corpus=corpus) for corpus in study.corpora]


def _shards(study: ResolvedStudy) -> list[Names]:
    shards = study.signal.shards
    return [
        names(batch=f"corpus-{corpus}", shard=str(shard), shards=str(shards))
        for corpus in study.corpora
        for shard in range(shards)
    ]


def _judged(study: ResolvedStudy) -> list[Names]:
    return [()] if study.signal.judges else []


def _labelled(study: ResolvedStudy) -> list[Names]:
    return [] if study.signal.judges else [()]


def _search(study: ResolvedStudy) -> list[Names]:
    return [()] if study.signal.optimize is not None else []


def _datasets(study: ResolvedStudy, stage: str) -> list[Names]:
    return [names(dataset=name) for name, dataset in study.datasets.items() if dataset.stage == stage]


def _mined(study: ResolvedStudy) -> list[Names]:
    return [names(dataset=name) for name in mined_datasets(study.datasets)]


def _asked(study: ResolvedStudy) -> list[Names]:
    return [
        names(dataset=name, evaluated=dataset.run, split=split)
        for name, dataset in mined_datasets(study.datasets).items()
        for split in ("train", "val")
    ]


def _rendered(study: ResolvedStudy) -> list[Names]:
    return [names(dataset=dataset, modality=modality) for dataset in study.datasets for modality in study.modalities]


def _modalities(study: ResolvedStudy) -> list[Names]:
    return [names(modality=modality) for modality in study.modalities]


def _exports(study: ResolvedStudy) -> list[Names]:
    return [names(format=name) for name in study.exports]


def _models(study: ResolvedStudy) -> list[Names]:
    return [names(model=model) for model in sorted({settings.model for settings in study.modalities.values()})]


def _runs(study: ResolvedStudy) -> list[Names]:
    return [names(run=run) for run in study.runs]


def _adapters(study: ResolvedStudy) -> list[Names]:
    return [names(run=name) for name, run in study.runs.items() if run.is_adapter]


def _evaluated(study: ResolvedStudy) -> list[Names]:
    return [names(evaluated=run) for run in (*(f"base_{modality}" for modality in study.modalities), *study.runs)]


JUDGING = Step(
    "Judging",
    "judge_responses/{batch}/{shard}-of-{shards}",
    "judged/{batch}/{shard}-of-{shards}.jsonl",
    _shards,
)
TRAINING = Step("Training", "train/{run}", "runs/{run}/manifest.json", _runs)

STEPS = (
    Step("Reading corpora", "ingest/{corpus}", "corpus/{corpus}/ingest.manifest.json", _corpora),
    Step("Splitting prompts", "split/{corpus}", "corpus/{corpus}/splits.manifest.json", _corpora),
    Step(
        "Drawing images",
        "draw_images/{corpus}/{modality}",
        "corpus/{corpus}/images/{modality}.manifest.json",
    ),
    JUDGING,
    Step("Choosing the checklist", "optimize_checklist", "checklist/manifest.json", _search),
    Step("Gathering scores", "gather_scores", "scores/scores.manifest.json", _judged),
    Step("Scoring by labels", "score_labels", "scores/scores.manifest.json", _labelled),
    Step("Writing sheets for people", "write_sheet", "scores/sheet.csv"),
    Step(
        "Selecting responses",
        "select_responses/{dataset}",
        "datasets/{dataset}/choose.manifest.json",
        lambda study: _datasets(study, "sft"),
    ),
    Step(
        "Asking runs for their mistakes",
        "mine_responses/{dataset}/{evaluated}-{split}",
        "datasets/{dataset}/mined/{evaluated}/{split}.generations.manifest.json",
        _asked,
    ),
    Step("Gathering mistakes", "gather_mistakes/{dataset}", "datasets/{dataset}/responses.manifest.json", _mined),
    Step(
        "Scoring mistakes by labels",
        "score_mistakes/{dataset}",
        "datasets/{dataset}/scores/scores.manifest.json",
        _mined,
    ),
    Step(
        "Pairing responses",
        "pair_responses/{dataset}",
        "datasets/{dataset}/choose.manifest.json",
        lambda study: _datasets(study, "dpo"),
    ),
    Step("Preparing models", "prepare_model/{model}", "models/{model}/manifest.json", _models),
    Step(
        "Rendering datasets",
        "render_dataset/{dataset}-{modality}",
        "datasets/{dataset}/{modality}/render.manifest.json",
        _rendered,
    ),
    Step(
        "Aligning modalities",
        "align_modalities/{dataset}-{modality}",
        "datasets/{dataset}/{modality}/align.manifest.json",
        _rendered,
    ),
    Step(
        "Validating datasets",
        "validate_dataset/{dataset}-{modality}",
        "datasets/{dataset}/{modality}/validation.json",
        _rendered,
    ),
    Step("Exporting datasets", "export_datasets/{format}", "exports/{format}/manifest.json", _exports),
    Step("Checking runs", "preflight/{run}", "runs/{run}/preflight.json", _runs),
    Step("Estimating runs", "write_estimates", "runs/estimates.md"),
    TRAINING,
    Step("Merging adapters", "merge_adapter/{run}", "runs/{run}/merge.json", _adapters),
    Step("Drawing curves", "plot_curves/{run}", "runs/{run}/curves.png", _runs),
    Step(
        "Rendering held-out rows",
        "render_heldout/{modality}",
        "evaluation/heldout/{modality}.manifest.json",
        _modalities,
    ),
    Step(
        "Aligning held-out rows",
        "align_heldout/{modality}",
        "evaluation/heldout/{modality}.align.manifest.json",
        _modalities,
    ),
    Step(
        "Generating responses",
        "generate_responses/{evaluated}",
        "evaluation/heldout/{evaluated}/generations.manifest.json",
        _evaluated,
    ),
    Step("Reading generated responses", "gather_generations", "evaluation/heldout/responses.manifest.json", _judged),
    Step("Evaluating runs", "evaluate_run/{evaluated}", "evaluation/heldout/{evaluated}/metrics.json", _evaluated),
    Step("Measuring responses", "measure_responses", "evaluation/heldout/measured.manifest.json", _judged),
    Step("Measuring answers", "measure_labels", "evaluation/heldout/measured.manifest.json", _labelled),
    Step("Comparing runs", "compare_runs", "comparison/comparison.json", _once),
    Step(
        "Writing dataset cards",
        "write_dataset_card/{dataset}-{modality}",
        "datasets/{dataset}/{modality}/dataset_card.md",
        _rendered,
    ),
    Step("Writing model cards", "write_model_card/{run}", "runs/{run}/model_card.md", _runs),
    Step("Saving settings", "save_study", "study.json", _once),
    Step("Adding up the cost", "collect_usage", "usage.json", _once),
    Step("Writing the report", "build_report", "report.html", _once),
)
