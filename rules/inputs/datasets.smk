"""From wildcards to files: source tables, specs and rendered files of a dataset."""


def dataset_of(wildcards):
    """Return the settings of the dataset that a job makes."""
    return study_of(wildcards).datasets[wildcards.dataset]


def corpus_table(table):
    """Return a function from wildcards to a table of the dataset's corpus."""
    return lambda wildcards: (f"results/{wildcards.study}/corpus/{dataset_of(wildcards).corpus}/{table}.parquet")


def is_mined(wildcards):
    """Say whether a dataset has responses and scores of its own, because a run's answers are among them."""
    return wildcards.dataset in mined_datasets(study_of(wildcards).datasets)


def responses_of_dataset(wildcards):
    """Return the responses that a dataset is chosen from: its corpus's, or its own."""
    if is_mined(wildcards):
        return f"results/{wildcards.study}/datasets/{wildcards.dataset}/responses.parquet"
    return corpus_table("responses")(wildcards)


def scores_of_dataset(wildcards):
    """Return the scores that a dataset is chosen by: the study's, or its own."""
    own = f"datasets/{wildcards.dataset}/" if is_mined(wildcards) else ""
    return f"results/{wildcards.study}/{own}scores/review_evaluations.jsonl"


def labels_of_prompts(wildcards):
    """Return the prompts of a dataset's corpus where its policy reads their labels."""
    return corpus_table("prompts")(wildcards) if dataset_of(wildcards).reads_prompts else []


def choice_spec(wildcards):
    """Return a dataset's settings with the share of items that a response must have answered."""
    settings = dataset_of(wildcards).model_dump(mode="json")
    return spec(settings | {"min_answered": study_of(wildcards).signal.min_answered})


def chosen_by(datasets, study):
    """Return the chosen tables of some datasets of a study."""
    return [f"results/{study}/datasets/{name}/chosen.parquet" for name in datasets]


def overlapped(wildcards):
    """Return the SFT datasets whose members a DPO dataset must avoid: none unless its policy says so.

    The one whose prompts a run was asked is none of them: all pairs are of its prompts.
    """
    dataset = dataset_of(wildcards)
    if dataset.overlap_policy == "allow":
        return []
    asked = dataset.prompts if is_mined(wildcards) else None
    return [
        name
        for name, other in study_of(wildcards).datasets.items()
        if other.stage == "sft" and other.corpus == dataset.corpus and name != asked
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


def shows_images(modality):
    """Say whether a modality shows images beside text."""
    return modality != "clean"


def rendering(wildcards, corpus):
    """Return what rendering needs to know: what of a prompt is shown, and how much fits."""
    study = study_of(wildcards)
    settings = study.modalities[wildcards.modality]
    images = {"images": pick(settings, *IMAGE_KEYS)} if shows_images(wildcards.modality) else {}
    return {
        "corpus": corpus,
        "modality": wildcards.modality,
        **pick(study.corpora[corpus], "prompt_fields", "template"),
        **pick(settings, "context", "response_tokens"),
        **images,
    }


def images_table(corpus_of):
    """Return a function from wildcards to a modality's images of a corpus: no file where it shows text alone."""

    def table(wildcards):
        if not shows_images(wildcards.modality):
            return []
        return [f"results/{wildcards.study}/corpus/{corpus_of(wildcards)}/images/{wildcards.modality}.parquet"]

    return table


def images_argument(wildcards, input):
    """Return `--images TABLE` where a modality shows images."""
    return " ".join(["--images", *input.images]) if input.images else ""


def aligned_with(wildcards):
    """Return the other modalities that must have the same rows: none where a study does without."""
    study = study_of(wildcards)
    return [name for name in study.modalities if study.same_rows and name != wildcards.modality]


def other_modalities(pattern, files):
    """Return a function from wildcards to files of the other modalities that must have the same rows."""
    return lambda wildcards: [
        pattern.format(**wildcards, other=other, file=file) for other in aligned_with(wildcards) for file in files
    ]


def others_arguments(pattern):
    """Return a function from wildcards to `--others MODALITY=LEFT_OUT ...`, or nothing where there are none."""

    def arguments(wildcards):
        pairs = [f"{other}={pattern.format(**wildcards, other=other)}" for other in aligned_with(wildcards)]
        return " ".join(["--others", *pairs]) if pairs else ""

    return arguments


LEFT_OUT_FILE = "results/{study}/datasets/{dataset}/{other}/left_out.parquet"
MODALITY_FILE = "results/{study}/datasets/{dataset}/{other}/{file}.parquet"
COMPARED = ("train", "val", "left_out")


def modalities_arguments(wildcards):
    """Return `--modalities MODALITY/FILE=PATH ...` for what validation compares, or nothing without others."""
    pairs = [
        f"{other}/{file}={MODALITY_FILE.format(**wildcards, other=other, file=file)}"
        for other in aligned_with(wildcards)
        for file in COMPARED
    ]
    return " ".join(["--modalities", *pairs]) if pairs else ""


def align_spec(wildcards):
    """Return what aligning the modalities of a dataset needs to know."""
    return spec({"stage": dataset_of(wildcards).stage, "modality": wildcards.modality})


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
            "answers": study.answers_of(dataset.corpus),
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
    pixels = {
        modality: pick(settings, "max_pixels", "min_pixels")
        for modality, settings in study.modalities.items()
        if shows_images(modality)
    }
    if wildcards.format != "llama_factory":
        return spec({"study": study.study, "models": {}, "runs": [], "context": {}, "pixels": pixels})
    context = {modality: settings.context for modality, settings in study.modalities.items()}
    runs = [training_settings(run) for run in study.runs.values()]
    return spec({"runs": runs, "context": context, "pixels": pixels, **pick(study, "study", "models")})


def exports(study):
    """Return the manifests of a study's exports."""
    return [f"results/{study}/exports/{name}/manifest.json" for name in STUDIES[study].exports]
