"""From wildcards to files: the prompts that a run is asked for its mistakes, and what it said."""

MINED_GENERATIONS = "results/{study}/datasets/{dataset}/mined/{evaluated}/{split}.generations.jsonl"


def asked_prompts(wildcards):
    """Return the rendered prompts of a split that a run is asked, in its own modality."""
    asked, modality = dataset_of(wildcards).prompts, evaluated_modality(wildcards)
    return f"results/{wildcards.study}/datasets/{asked}/{modality}/{wildcards.split}.parquet"


def mining_spec(wildcards):
    """Return the spec of asking a run: generation as in the evaluation, but of every prompt."""
    settings = without_scheduling(generation_of(wildcards).model_dump(mode="json"))
    settings |= {"prompts": None, "samples": dataset_of(wildcards).samples}
    return spec({"run": wildcards.evaluated, "generation": settings} | shown_pixels(wildcards))


def mined_generations(wildcards):
    """Return split → what the run of a mined dataset said to its prompts; nothing for other datasets."""
    if not is_mined(wildcards):
        return {}
    names = {"study": wildcards.study, "dataset": wildcards.dataset, "evaluated": dataset_of(wildcards).run}
    return {split: MINED_GENERATIONS.format(**names, split=split) for split in ("train", "val")}


def generations_arguments(wildcards):
    """Return SPLIT=PATH arguments of what the run of a mined dataset said."""
    return [f"{split}={path}" for split, path in mined_generations(wildcards).items()]


def mistakes_spec(wildcards):
    """Return what gathering mistakes needs to know: whose they are, and the words for labels."""
    study, dataset = study_of(wildcards), dataset_of(wildcards)
    return spec(pick(dataset, "corpus", "run") | {"answers": study.answers_of(dataset.corpus)})


def mistakes_label_spec(wildcards):
    """Return the spec of scoring a mined dataset's responses: without a gate, since a model may say what it likes."""
    study, corpus = study_of(wildcards), dataset_of(wildcards).corpus
    signal = scoring_settings(study.signal) | {"gates": {"max_null_rate": 1}}
    return spec({"signal": signal, "answers": {corpus: study.answers_of(corpus)}})


def of_own_corpus(path):
    """Return a function from wildcards to CORPUS=PATH, the corpus that of the dataset."""
    return lambda wildcards: [f"{dataset_of(wildcards).corpus}={path(wildcards)}"]
