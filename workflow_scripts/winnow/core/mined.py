"""What a dataset of a model's own mistakes refers to: prompts, and a run that must not have learnt from them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from winnow.core.config.corpora import Corpus, IsarcasmCorpus, SarcasmV2Corpus
from winnow.core.config.datasets import Dataset, EveryRight, Mined
from winnow.core.config.runs import ResolvedRun
from winnow.core.config.studies import Study
from winnow.core.errors import WinnowError
from winnow.core.references import refer


def mined_datasets(datasets: Mapping[str, Dataset]) -> dict[str, Mined]:
    """Return the datasets of policy mined, by their names."""
    return {name: dataset for name, dataset in datasets.items() if isinstance(dataset, Mined)}


def mining_manifests(datasets: Mapping[str, Dataset], name: str) -> list[str]:
    """Return the manifests of the steps that made a dataset's own responses and scores: none unless it is mined.

    Returns:
        Their names below results/<study>, in the order of the steps; the last is that of the scores.
    """
    mined = mined_datasets(datasets).get(name)
    if mined is None:
        return []
    folder = f"datasets/{name}"
    asked = [f"{folder}/mined/{mined.run}/{split}.generations.manifest.json" for split in ("train", "val")]
    return [*asked, f"{folder}/responses.manifest.json", f"{folder}/scores/scores.manifest.json"]


def line_of(runs: Mapping[str, ResolvedRun], name: str) -> Iterator[ResolvedRun]:
    """Yield a run and those that it descends from, the nearest first."""
    run: ResolvedRun | None = runs[name]
    while run is not None:
        yield run
        run = None if run.parent is None else runs[run.parent]


def resolve_mined(study: Study, runs: Mapping[str, ResolvedRun], path: Path) -> dict[str, Mined]:
    """Return the datasets of policy mined with the names of their runs, once all that they refer to is sound.

    Args:
        study: as it is written, its other references checked.
        runs: of the study, resolved; their parents go round nowhere.
        path: the study's file.

    Raises:
        WinnowError: naming the key that refers to what there is not, or to what would make the dataset worthless.
    """
    found = {name: _with_run(name, dataset, study, path) for name, dataset in mined_datasets(study.datasets).items()}
    for name, dataset in found.items():
        _check_prompts(name, dataset, study, path)
        refer(path, f"datasets.{name}.run", dataset.run, runs)
    for name in found:
        _refuse_circles(name, found, runs, path)
    for name, dataset in found.items():
        _refuse_learnt_prompts(name, dataset, study, runs, path)
    return found


def _with_run(name: str, dataset: Mined, study: Study, path: Path) -> Mined:
    """Return a dataset with its run's name, where the study's signal and modalities allow that."""
    if study.signal.kind != "label":
        problem = f"a mistake is a wrong label, and signal.kind is {study.signal.kind}"
        raise WinnowError(f"{path}, key datasets.{name}.policy", problem, "use signal: {kind: label}, or contrastive")
    if "{modality}" in dataset.run and len(study.modalities) > 1:
        problem = f"{dataset.run!r} stands for a run of each modality, and a dataset is made once for all"
        fix = f"name one run: {' or '.join(dataset.run.replace('{modality}', one) for one in study.modalities)}"
        raise WinnowError(f"{path}, key datasets.{name}.run", problem, fix)
    return dataset.model_copy(update={"run": dataset.run.replace("{modality}", next(iter(study.modalities)))})


def _check_prompts(name: str, dataset: Mined, study: Study, path: Path) -> None:
    """Check that the prompts are those of right words alone, of the dataset's own corpus."""
    key = f"{path}, key datasets.{name}"
    if study.corpora[dataset.corpus].has_templates:
        problem = f"{dataset.corpus!r} answers with reasons, and the right answer to a mistake is a word alone"
        raise WinnowError(f"{key}.corpus", problem, "use a corpus of the same texts without the key reasons")
    refer(path, f"datasets.{name}.prompts", dataset.prompts, study.datasets)
    asked = study.datasets[dataset.prompts]
    if not isinstance(asked, EveryRight):
        problem = f"{dataset.prompts!r} is of policy {asked.policy}, and every prompt is asked"
        raise WinnowError(f"{key}.prompts", problem, "name an SFT dataset of policy all")
    if asked.corpus != dataset.corpus:
        problem = f"{dataset.prompts!r} is of the corpus {asked.corpus}, this dataset of {dataset.corpus}"
        raise WinnowError(f"{key}.prompts", problem, "name a dataset of the same corpus")


def _refuse_circles(name: str, mined: Mapping[str, Mined], runs: Mapping[str, ResolvedRun], path: Path) -> None:
    """Refuse a dataset that is mined from a run which learns, itself or by way of others, from this very dataset."""
    ways: list[tuple[str, ...]] = [(name,)]
    while ways:
        way = ways.pop()
        for run in line_of(runs, mined[way[-1]].run):
            if run.dataset == name:
                problem = f"goes round: run {run.name} is trained on {name}, which is mined from {mined[name].run}"
                fix = "mine from a run that does not descend from this dataset"
                raise WinnowError(f"{path}, key datasets.{name}.run", problem, fix)
            if run.dataset in mined and run.dataset not in way:
                ways.append((*way, run.dataset))


def _refuse_learnt_prompts(
    name: str, dataset: Mined, study: Study, runs: Mapping[str, ResolvedRun], path: Path
) -> None:
    """Refuse a run that learnt the very texts that it is asked: what it then gets wrong is noise, or a wrong label."""
    for run in line_of(runs, dataset.run):
        learnt = study.datasets[run.dataset].corpus
        if learnt == dataset.corpus or _files(study.corpora[learnt]) & _files(study.corpora[dataset.corpus]):
            same = "" if learnt == dataset.corpus else f", which has texts of the same files as {dataset.corpus}"
            raise WinnowError(
                f"{path}, key datasets.{name}.run",
                f"{run.name} was trained on {run.dataset} of the corpus {learnt}{same}: its mistakes on texts that it"
                " learnt by heart are few and odd",
                "take prompts of another corpus, or a run that was trained on another",
            )


def _files(corpus: Corpus) -> frozenset[str]:
    """Return the raw files of a labelled corpus; no other kind of corpus is mined."""
    match corpus:
        case SarcasmV2Corpus():
            return frozenset(corpus.files.values())
        case IsarcasmCorpus():
            return frozenset({corpus.path})
        case _:
            return frozenset()
