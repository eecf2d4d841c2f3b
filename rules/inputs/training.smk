"""From wildcards to files: models, parents and data of a run."""


def tiny_texts(wildcards):
    """Return the tables whose text a tiny model's tokenizer is trained on: none for a real model."""
    if study_of(wildcards).models[wildcards.model].tiny is None:
        return []
    return per_corpus("prompts")(wildcards) + per_corpus("responses")(wildcards)


def local_model_files(wildcards):
    """Return the files of a base model that lies in a local folder."""
    path = study_of(wildcards).models[wildcards.model].path
    if path is None:
        return []
    folder = Path(existing([path], f"studies/{wildcards.study}.yaml, key models.{wildcards.model}.path")[0])
    return sorted(map(str, [*folder.glob("*.json"), *folder.glob("*.safetensors")]))


def training_settings(run):
    """Return what of a run can change its result: all but where and how long it may run."""
    settings = run.model_dump(mode="json")
    return {key: value for key, value in settings.items() if key not in SCHEDULING}


def run_base(wildcards):
    """Return the folder of the base model that a run descends from."""
    return f"results/{wildcards.study}/models/{run_of(wildcards).model}"


def run_data(file):
    """Return a function from wildcards to a file of the run's rendered dataset."""
    return lambda wildcards: (
        f"results/{wildcards.study}/datasets/{run_of(wildcards).dataset}/{run_of(wildcards).modality}/{file}"
    )


def model_ready(study, run):
    """Return the file whose presence says that checkpoints/<study>/<run>/model is complete."""
    last = "merge" if STUDIES[study].runs[run].is_adapter else "manifest"
    return f"results/{study}/runs/{run}/{last}.json"


def parent_ready(wildcards):
    """Return the file that says that the run's parent is complete; nothing for a run from the base model."""
    parent = run_of(wildcards).parent
    return [model_ready(wildcards.study, parent)] if parent else []


def parent_argument(wildcards):
    """Return `--parent FOLDER` for a run that starts from another."""
    parent = run_of(wildcards).parent
    return f"--parent checkpoints/{wildcards.study}/{parent}/model" if parent else ""


def launcher(wildcards):
    """Return the launcher's code for a run of several processes."""
    return code("launch") if run_of(wildcards).is_launched else []


def launch_arguments(wildcards):
    """Return what stands before the training script's name: the launcher, where one process is not enough."""
    run = run_of(wildcards)
    if run.nodes > 1:
        raise WorkflowError(
            f"studies/{wildcards.study}.yaml, key runs.{run.name}.nodes: {run.nodes} machines are not started from"
            " here yet\n  fix: set nodes: 1, or start workflow_scripts/launch.py on each machine by hand"
        )
    return f"workflow_scripts/launch.py --processes {run.processes}" if run.is_launched else ""
