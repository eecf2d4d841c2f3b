"""From wildcards to files: what the cards of models and datasets are written from."""


def ancestors(study, run):
    """Return a run and those that it descends from, as they are resolved; those too whose mistakes any is trained on."""
    found, asked = {}, [run]
    while asked:
        for one in line_of(study.runs, asked.pop()):
            if one.name not in found:
                found[one.name] = one
                asked += [d.run for name, d in mined_datasets(study.datasets).items() if name == one.dataset]
    return list(found.values())


def scores_manifests(wildcards):
    """Return what says how a dataset's responses were scored: the study's scores, or all that mining left."""
    own = mining_manifests(study_of(wildcards).datasets, wildcards.dataset)
    return [f"results/{wildcards.study}/{name}" for name in own or ["scores/scores.manifest.json"]]


def images_manifests(study, dataset, modality):
    """Return the manifest of the images that a modality shows of a dataset's corpus, if it shows any."""
    corpus = STUDIES[study].datasets[dataset].corpus
    return [f"results/{study}/corpus/{corpus}/images/{modality}.manifest.json"] if shows_images(modality) else []


def dataset_manifests(study, dataset):
    """Return what says how a dataset was rendered: in every modality, since each may have the others' rows."""
    folder = f"results/{study}/datasets/{dataset}"
    return [
        file
        for modality in STUDIES[study].modalities
        for file in (
            *(f"{folder}/{modality}/{step}.manifest.json" for step in ("render", "align")),
            f"results/{study}/models/{STUDIES[study].modalities[modality].model}/manifest.json",
            *images_manifests(study, dataset, modality),
        )
    ]


def ancestry(wildcards):
    """Return the manifests that a run's card follows back: its own and its ancestors', those of data and models."""
    study, folder = study_of(wildcards), f"results/{wildcards.study}"
    corpora = [
        f"{folder}/corpus/{corpus}/{step}.manifest.json" for corpus in study.corpora for step in ("ingest", "splits")
    ]
    lineage = ancestors(study, wildcards.run)
    mined = mined_datasets(study.datasets)
    used = mined.keys() & {run.dataset for run in lineage}
    # Other mined datasets are left out: they may well be made from this very run.
    chosen = [
        f"{folder}/datasets/{dataset}/choose.manifest.json"
        for dataset in study.datasets
        if dataset in used or dataset not in mined
    ]
    mining = [f"{folder}/{name}" for dataset in used for name in mining_manifests(study.datasets, dataset)]
    asked = [file for dataset in used for file in dataset_manifests(wildcards.study, mined[dataset].prompts)]
    checklist = [f"{folder}/checklist/manifest.json"] if study.signal.optimize is not None else []
    own = {
        file
        for run in lineage
        for file in (
            f"{folder}/runs/{run.name}/manifest.json",
            model_ready(wildcards.study, run.name),
            f"{folder}/models/{run.model}/manifest.json",
            *dataset_manifests(wildcards.study, run.dataset),
        )
    }
    return sorted({*own, *corpora, *chosen, *mining, *asked, *checklist, f"{folder}/scores/scores.manifest.json"})


def card_metrics(wildcards):
    """Return the measurements of a run and of the untrained model."""
    folder = f"results/{wildcards.study}/evaluation/heldout"
    names = (wildcards.run, f"base_{run_of(wildcards).modality}")
    return [f"{folder}/{name}/metrics.json" for name in names]


def card_spec(wildcards):
    """Return what cards need to know of a study: all but where and how long its jobs may run."""
    study = study_of(wildcards)
    settings = study.model_dump(mode="json")
    settings["signal"] = scoring_settings(study.signal)
    settings["runs"] = {name: training_settings(run) for name, run in study.runs.items()}
    return spec(settings)


def cards(study):
    """Return the cards of every dataset and every run of a study."""
    folder, settings = f"results/{study}", STUDIES[study]
    return [
        *(
            f"{folder}/datasets/{dataset}/{modality}/dataset_card.md"
            for dataset in settings.datasets
            for modality in settings.modalities
        ),
        *(f"{folder}/runs/{run}/model_card.md" for run in settings.runs),
    ]
