"""From wildcards to files: held-out rows, models and pairs that a run is measured on."""


def is_base(run):
    """Say whether a run is a pseudo-run: the untrained model of a modality."""
    return run.startswith("base_")


def evaluated_runs(study):
    """Return everything that a study compares: the base of each modality, then its runs."""
    return [*base_runs(STUDIES[study]), *STUDIES[study].runs]


def evaluated_modality(wildcards):
    """Return the modality of a run or pseudo-run."""
    if is_base(wildcards.evaluated):
        return wildcards.evaluated.removeprefix("base_")
    return study_of(wildcards).runs[wildcards.evaluated].modality


def evaluated_model(wildcards):
    """Return the folder of the base model of a run or pseudo-run."""
    name = study_of(wildcards).modalities[evaluated_modality(wildcards)].model
    return f"results/{wildcards.study}/models/{name}"


def evaluated_ready(wildcards):
    """Return what says that the evaluated model is complete."""
    run = wildcards.evaluated
    return [] if is_base(run) else [model_ready(wildcards.study, run)]


def evaluated_weights(wildcards):
    """Return the options that name a trained model's weights and the manifest that vouches for them."""
    run, study = wildcards.evaluated, wildcards.study
    if is_base(run):
        return ""
    return f"--weights checkpoints/{study}/{run}/model --run-manifest {model_ready(study, run)}"


def heldout_table(wildcards):
    """Return the held-out rows that a run is measured on."""
    return f"results/{wildcards.study}/evaluation/heldout/{evaluated_modality(wildcards)}.parquet"


HELDOUT_LEFT_OUT = "results/{study}/evaluation/heldout/{other}.left_out.parquet"


def heldout_corpus(wildcards):
    """Return the corpus whose held-out prompts are used: that of the study's first SFT dataset."""
    datasets = study_of(wildcards).datasets.values()
    return next(
        (d.corpus for d in datasets if d.stage == "sft"),
        next(iter(study_of(wildcards).corpora)),
    )


def heldout_source(table):
    """Return a function from wildcards to a table of the held-out corpus."""
    return lambda wildcards: f"results/{wildcards.study}/corpus/{heldout_corpus(wildcards)}/{table}.parquet"


def heldout_spec(wildcards):
    """Return the spec of rendering held-out rows: rated ones, or in a labelled study those that are right."""
    corpus = heldout_corpus(wildcards)
    drawn = {
        "max_loss_rows": study_of(wildcards).evaluation.max_loss_rows,
        "choice": "right" if heldout_answers(wildcards) else "rated",
    }
    return spec(drawn | rendering(wildcards, corpus))


def heldout_answers(wildcards):
    """Return label → the word for it where models answer held-out prompts with labels; nothing elsewhere."""
    return study_of(wildcards).answers_of(heldout_corpus(wildcards)) or {}


def preference_tables(wildcards):
    """Return the validation pairs of every DPO dataset, in the run's modality.

    Mined ones measure nothing: they hold what one run got wrong, so that every other does better by the choice alone.
    """
    modality = evaluated_modality(wildcards)
    datasets = study_of(wildcards).datasets
    return {
        name: f"results/{wildcards.study}/datasets/{name}/{modality}/val.parquet"
        for name, dataset in datasets.items()
        if dataset.stage == "dpo" and name not in mined_datasets(datasets)
    }


def preference_arguments(wildcards):
    """Return `--preferences NAME=PATH ...`, or nothing without DPO datasets."""
    pairs = [f"{name}={path}" for name, path in preference_tables(wildcards).items()]
    return " ".join(["--preferences", *pairs]) if pairs else ""


def evaluation_spec(wildcards):
    """Return the spec of evaluating one run or pseudo-run."""
    run = wildcards.evaluated
    seed = 0 if is_base(run) else study_of(wildcards).runs[run].seed
    settings = pick(study_of(wildcards).evaluation, *EVALUATION_KEYS)
    answers = heldout_answers(wildcards)
    settings |= {"answers": answers} if answers else {}
    return spec(settings | shown_pixels(wildcards) | {"run": run, "seed": seed})


def generation_of(wildcards):
    """Return how a run or pseudo-run generates, in its modality."""
    return study_of(wildcards).evaluation.generation.of(evaluated_modality(wildcards))


def generation_spec(wildcards):
    """Return the spec of generating responses with one run or pseudo-run."""
    settings = without_scheduling(generation_of(wildcards).model_dump(mode="json"))
    return spec({"run": wildcards.evaluated, "generation": settings} | shown_pixels(wildcards))


def generation_kind(wildcards):
    """Return the kind of environment that a run's generating engine needs."""
    return "judge" if generation_of(wildcards).backend == "vllm" else "train"


def generating_model(wildcards):
    """Return the manifest of the base model of a run or pseudo-run that generates, once there is a Python for it."""
    if generation_kind(wildcards) == "judge":
        require_judge_interpreter()
    return f"{evaluated_model(wildcards)}/manifest.json"


def shown_pixels(wildcards):
    """Return the area at which a run's modality shows images, nothing where it shows none."""
    modality = evaluated_modality(wildcards)
    settings = study_of(wildcards).modalities[modality]
    return pick(settings, "max_pixels", "min_pixels") if shows_images(modality) else {}


# Of the evaluation's settings, those of evaluate_run that change a number; the rest says where and how fast it runs.
EVALUATION_KEYS = ("gpu", "max_loss_rows", "batch_size")


def per_evaluated(file):
    """Return a function from wildcards to one file of every run and pseudo-run."""
    return lambda wildcards: [
        f"results/{wildcards.study}/evaluation/heldout/{run}/{file}" for run in evaluated_runs(wildcards.study)
    ]


def per_evaluated_arguments(file):
    """Return a function from wildcards to RUN=PATH arguments of one file of every run and pseudo-run."""
    return lambda wildcards: named(
        f"results/{{study}}/evaluation/heldout/{{key}}/{file}",
        evaluated_runs(wildcards.study),
        wildcards.study,
    )


def measurement_spec(wildcards):
    """Return the spec of measuring generated responses: the modality of each run and pseudo-run."""
    return spec({"runs": modalities_of_runs(wildcards)})


def modalities_of_runs(wildcards):
    """Return the modality of each run and pseudo-run."""
    study = study_of(wildcards)
    runs = {f"base_{modality}": modality for modality in study.modalities}
    return runs | {name: run.modality for name, run in study.runs.items()}


def answers_spec(wildcards):
    """Return the spec of measuring answers: the modality of each run and pseudo-run, the words, the labels in order."""
    answers = heldout_answers(wildcards)
    # JSON keeps no order of keys, and the first label is the positive one.
    return spec({"runs": modalities_of_runs(wildcards), "answers": answers, "classes": list(answers)})


def read_responses(wildcards):
    """Return what was read of generated reviews, or of labelled prompts the probabilities of the words that answer."""
    if study_of(wildcards).signal.kind == "label":
        return per_evaluated("rows.jsonl")(wildcards)
    return f"results/{wildcards.study}/evaluation/heldout/responses.parquet"


def judged_by_second(wildcards):
    """Return what a study's second judge said: of generated responses, and of the sample of human ones that it read."""
    signal, corpus = study_of(wildcards).signal, heldout_corpus(wildcards)
    if signal.reliability.second_judge is None:
        return []
    sample = judged(wildcards, ["second"], corpora=[corpus]) if "second" in compared_kinds(signal) else []
    return [*judged_generations(wildcards, "generated_second"), *sample]


def second_arguments(wildcards, input):
    """Return `--judged-second PATH ...`, or nothing without a second judge."""
    return flagged("--judged-second", input.second)


def training_tables(wildcards):
    """Return what the runs of each modality were trained on: (modality, dataset) → table."""
    pairs = sorted({(run.modality, run.dataset) for run in study_of(wildcards).runs.values()})
    return {
        (modality, dataset): f"results/{wildcards.study}/datasets/{dataset}/{modality}/train.parquet"
        for modality, dataset in pairs
    }


def training_arguments(wildcards):
    """Return MODALITY=PATH arguments of those tables."""
    return [f"{modality}={path}" for (modality, _), path in training_tables(wildcards).items()]


def per_run(file):
    """Return a function from wildcards to one file of every run."""
    return lambda wildcards: [f"results/{wildcards.study}/runs/{run}/{file}" for run in study_of(wildcards).runs]


def comparison_spec(wildcards):
    """Return what a comparison needs to know of a study's runs."""
    study = study_of(wildcards)
    runs = [training_settings(run) for run in study.runs.values()]
    return spec({"study": study.study, "runs": runs, "modalities": list(study.modalities)})


def per_run_arguments(file):
    """Return a function from wildcards to RUN=PATH arguments of one file of every run."""
    return lambda wildcards: named(
        f"results/{{study}}/runs/{{key}}/{file}",
        study_of(wildcards).runs,
        wildcards.study,
    )
