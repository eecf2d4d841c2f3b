"""From wildcards to files: source tables, specs and rendered files of a dataset."""


def dataset_of(wildcards):
    """Return the settings of the dataset that a job makes."""
    return study_of(wildcards).datasets[wildcards.dataset]


def corpus_table(table):
    """Return a function from wildcards to a table of the dataset's corpus."""
    return lambda wildcards: (f"results/{wildcards.study}/corpus/{dataset_of(wildcards).corpus}/{table}.parquet")


def choice_spec(wildcards):
    """Return a dataset's settings with the share of items that a response must have answered."""
    settings = dataset_of(wildcards).model_dump(mode="json")
    return spec(settings | {"min_answered": study_of(wildcards).signal.min_answered})


def chosen_by(datasets, study):
    """Return the chosen tables of some datasets of a study."""
    return [f"results/{study}/datasets/{name}/chosen.parquet" for name in datasets]


def overlapped(wildcards):
    """Return the SFT datasets whose members a DPO dataset must avoid: none unless its policy says so."""
    dataset = dataset_of(wildcards)
    if dataset.overlap_policy == "allow":
        return []
    return [
        name
        for name, other in study_of(wildcards).datasets.items()
        if other.stage == "sft" and other.corpus == dataset.corpus
    ]


def other_datasets(wildcards):
    """Return the datasets against which a DPO dataset is checked for prompts that SFT has seen.

    An SFT dataset is checked against none: the same check from its side would make a changed pairing
    threshold retrain SFT.
    """
    dataset = dataset_of(wildcards)
    return [
        name
        for name, other in study_of(wildcards).datasets.items()
        if dataset.stage == "dpo" and other.stage == "sft" and other.corpus == dataset.corpus
    ]


def chosen_arguments(option, select):
    """Return a function from wildcards to `option NAME=PATH ...`, or nothing where `select` names no dataset."""

    def arguments(wildcards):
        pairs = named(
            "results/{study}/datasets/{key}/chosen.parquet",
            select(wildcards),
            wildcards.study,
        )
        return " ".join([option, *pairs]) if pairs else ""

    return arguments


def model_of(wildcards):
    """Return the folder of the base model of a modality."""
    name = study_of(wildcards).modalities[wildcards.modality].model
    return f"results/{wildcards.study}/models/{name}"


def model_manifest(wildcards):
    """Return the manifest of a modality's base model."""
    return f"{model_of(wildcards)}/manifest.json"


def rendering(wildcards, corpus):
    """Return what rendering needs to know: what of a prompt is shown, and how much fits."""
    study = study_of(wildcards)
    return {
        "corpus": corpus,
        "modality": wildcards.modality,
        "prompt_fields": study.corpora[corpus].model_dump(mode="json")["prompt_fields"],
        **pick(study.modalities[wildcards.modality], "context", "response_tokens"),
    }


def render_spec(wildcards):
    """Return the spec of rendering one dataset for one modality."""
    dataset = dataset_of(wildcards)
    return spec({"stage": dataset.stage, **rendering(wildcards, dataset.corpus)})


def validation_spec(wildcards):
    """Return all that validation recomputes a dataset from, besides its source tables."""
    study, dataset = study_of(wildcards), dataset_of(wildcards)
    corpus = study.corpora[dataset.corpus].model_dump(mode="json")
    return spec(
        {
            "stage": dataset.stage,
            "dataset": wildcards.dataset,
            "policy": dataset.model_dump(mode="json") | {"min_answered": study.signal.min_answered},
            "min_prompt_chars": corpus["min_prompt_chars"],
            "splits": corpus["splits"],
            **rendering(wildcards, dataset.corpus),
        }
    )


def rendered(study):
    """Return DATASET/MODALITY/SPLIT → file for everything that a study renders."""
    return {
        f"{dataset}/{modality}/{split}": f"results/{study}/datasets/{dataset}/{modality}/{split}.parquet"
        for dataset in STUDIES[study].datasets
        for modality in STUDIES[study].modalities
        for split in ("train", "val")
    }


def validations(study):
    """Return the validation reports of a study."""
    return sorted({f"{file.rsplit('/', 1)[0]}/validation.json" for file in rendered(study).values()})


def export_spec(wildcards):
    """Return what an export needs besides the rendered tables; only LLaMA-Factory's has training settings."""
    study = study_of(wildcards)
    if wildcards.format != "llama_factory":
        return spec({"study": study.study, "models": {}, "runs": [], "context": {}})
    context = {modality: settings.context for modality, settings in study.modalities.items()}
    runs = [training_settings(run) for run in study.runs.values()]
    return spec({"runs": runs, "context": context, **pick(study, "study", "models")})


def exports(study):
    """Return the manifests of a study's exports."""
    return [f"results/{study}/exports/{name}/manifest.json" for name in STUDIES[study].exports]
