"""From wildcards to files: models, parents and data of a run."""

import os


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


def label_tables(wildcards):
    """Return dataset → the validation rows whose answers a run is scored by; none where it scores no labels."""
    run, datasets = run_of(wildcards), study_of(wildcards).datasets
    scored = [] if run.answers is None else [name for name in datasets if datasets[name].policy == "all"]
    return {name: f"results/{wildcards.study}/datasets/{name}/{run.modality}/val.parquet" for name in scored}


def label_arguments(wildcards):
    """Return `--labels DATASET=PATH ...` for a run whose study scores labels."""
    tables = label_tables(wildcards)
    return " ".join(["--labels", *(f"{name}={file}" for name, file in tables.items())]) if tables else ""


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


def starts_here():
    """Say whether jobs are started on this machine alone: by no cluster's executor, and in no job of SLURM's."""
    is_real = workflow.executor_plugin is not None and not workflow.dryrun and not workflow.touch
    return is_real and workflow.local_exec and "SLURM_JOB_ID" not in os.environ


def launcher(wildcards):
    """Return the launcher's code for a run of several processes; refuse, when planning, a run that it cannot start."""
    run = run_of(wildcards)
    is_made = Path(f"results/{wildcards.study}/runs/{run.name}/manifest.json").is_file()
    if run.nodes > 1 and starts_here() and not is_made:
        raise WorkflowError(
            f"studies/{wildcards.study}.yaml, key runs.{run.name}.nodes: {run.nodes} machines cannot be started from"
            " here\n  fix: use --profile slurm, set nodes: 1, or start the run by hand (docs/scale_out.md)"
        )
    return code("launch") if run.is_launched else []


def launch_arguments(wildcards):
    """Return what stands before the training script's name: the launcher, where one process is not enough."""
    run = run_of(wildcards)
    nodes = f" --nodes {run.nodes}" if run.nodes > 1 else ""
    return f"workflow_scripts/launch.py --processes {run.processes}{nodes}" if run.is_launched else ""


def on_one_machine(value):
    """Return a resource that SLURM counts for the whole job, so that only a run on one machine asks for it."""
    return lambda wildcards: value(wildcards) if run_of(wildcards).nodes == 1 else None


def on_several_machines(value):
    """Return a resource that only a run on several machines asks for."""
    return lambda wildcards: value(wildcards) if run_of(wildcards).nodes > 1 else None


def gpus_of_each_machine(wildcards):
    """Return the GPUs of each machine in SLURM's words; of a number for the whole job 3 may come here and 1 there."""
    run, kind = run_of(wildcards), gpu_model(run_of)(wildcards)
    return ":".join(["gpu", *([kind] if kind else []), str(run.gpu // run.nodes)]) if run.gpu else None


def gpus_in_words(wildcards, resources):
    """Return how many GPUs a run trains on, for its message: 8, or 2x8 on two machines of which each gives 8."""
    run = run_of(wildcards)
    return run.gpu if run.nodes == 1 else f"{run.nodes}x{run.gpu // run.nodes}"
