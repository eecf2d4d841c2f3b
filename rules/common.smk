"""What every file here uses: the studies, and functions from wildcards to files and settings."""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from winnow.core.code import import_closure
from winnow.core.config.base import SCHEDULING
from winnow.core.config.datasets import IMAGE_KEYS
from winnow.core.entry import pins
from winnow.core.errors import WinnowError
from winnow.core.ids import canonical_json
from winnow.core.mined import line_of, mined_datasets, mining_manifests
from winnow.core.study import load_site, load_study

try:
    SITE = load_site(config)
    _files = sorted((ROOT / "studies").glob("*.yaml"))
    STUDIES = {file.stem: load_study(file, SITE, ROOT) for file in _files}
    for _name in SITE.studies:
        if _name not in STUDIES:
            raise WinnowError("config.yaml, key studies", f"there is no studies/{_name}.yaml")
except WinnowError as error:
    raise WorkflowError(str(error)) from None

STUDY_TREE = {name: study.model_dump(mode="json") for name, study in STUDIES.items()}  # for lookup()

# Under conda each environment has its own `python`; else the site names one, or Snakemake's own serves.
IN_CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
PYTHON = {
    kind: "python" if IN_CONDA else interpreter or sys.executable
    for kind, interpreter in SITE.interpreters.model_dump().items()
}
PINS = {kind: pins(kind) for kind in PYTHON}
if IN_CONDA:
    # An environment is found by the path of its folder: outside of the checkout, one that was moved finds it again.
    _caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    workflow.deployment_settings.conda_prefix = workflow.deployment_settings.conda_prefix or _caches / "winnow/conda"
    # A Python of conda's takes packages of ~/.local before its own.
    os.environ.update(PYTHONNOUSERSITE="1")


def alternatives(names):
    """Return a pattern that matches exactly the given names; a typo then fits nothing."""
    return "|".join(sorted(map(re.escape, names))) or "(?!)"


def names(attribute):
    """Return every key of one attribute over all studies."""
    return {name for study in STUDIES.values() for name in getattr(study, attribute)}


def datasets_of(stage):
    """Return the names of the datasets of one stage over all studies."""
    return {name for study in STUDIES.values() for name, dataset in study.datasets.items() if dataset.stage == stage}


def names_of_mined():
    """Return the names of the datasets that are mined from a run, over all studies."""
    return {name for study in STUDIES.values() for name in mined_datasets(study.datasets)}


def runs_of(stage):
    """Return the names of the runs of one stage over all studies."""
    return {name for study in STUDIES.values() for name, run in study.runs.items() if run.stage == stage}


def studies_scored_by(kind):
    """Return the names of the studies whose signal is of one kind."""
    return {name for name, study in STUDIES.items() if study.signal.kind == kind}


def base_runs(study):
    """Return the pseudo-runs of a study: the untrained model of each modality."""
    return [f"base_{modality}" for modality in study.modalities]


wildcard_constraints:
    study=alternatives(STUDIES),
    corpus=alternatives(names("corpora")),
    shard=r"\d+",
    shards=r"\d+",
    dataset=alternatives(names("datasets")),
    modality=alternatives(names("modalities")),
    model=alternatives(names("models")),
    run=alternatives(names("runs")),
    evaluated=alternatives(names("runs") | {run for study in STUDIES.values() for run in base_runs(study)}),


def code(script):
    """Return a script and its import closure, relative to the checkout: an edit reruns only what it touches."""
    return [str(file.relative_to(ROOT)) for file in import_closure(ROOT / "workflow_scripts" / f"{script}.py")]


def study_of(wildcards):
    """Return the study that a job belongs to."""
    return STUDIES[wildcards.study]


def run_of(wildcards):
    """Return the resolved run that a job trains."""
    return study_of(wildcards).runs[wildcards.run]


def spec(settings):
    """Return settings as the JSON text that a script takes; equal settings give equal text."""
    return canonical_json(settings.model_dump(mode="json") if hasattr(settings, "model_dump") else settings)


def pick(settings, *keys):
    """Return some of the settings as JSON values, so that the others cannot cause a rerun."""
    values = settings.model_dump(mode="json")
    return {key: values[key] for key in keys}


def asking(message, gpus=None):
    """Return a job's message with what it asks for behind it, so that a dry run shows that.

    Args:
        message: what the job does.
        gpus: how many, as a message writes it.
    """
    gpu = f"gpu={gpus} " if gpus else ""
    return f"{message} [{gpu}cpu={{threads}} mem_mb={{resources.mem_mb}} runtime={{resources.runtime}}]"


def each_attempt(amount):
    """Return a resource of which every further attempt asks for more, so that a job that ran out of it gets through.

    Args:
        amount: for the first attempt; a number, or a function of the wildcards.
    """
    return lambda wildcards, attempt: attempt * (amount(wildcards) if callable(amount) else amount)


def gpu_model(settings):
    """Return a function from wildcards to the kind of GPU to ask for; None where no GPU, or any, will do."""

    def model(wildcards):
        wanted = settings(wildcards)
        return (wanted.gpu_model or SITE.gpus.model) if wanted.gpu else None

    return model


def existing(paths, key):
    """Return raw input files, or say at planning time which key names a file that is not there."""
    for path in paths:
        if not Path(path).exists():
            raise WorkflowError(
                f"{key}: {path}: there is no such file\n  fix: put it there, or set data_root in config.yaml"
                " or with --config data_root=FOLDER (docs/inputs.md says which files belong there)"
            )
    return paths


def named(pattern, keys, study):
    """Return NAME=PATH arguments for files that a script takes one per corpus, dataset or run."""
    return [f"{key}={pattern.format(study=study, key=key)}" for key in keys]
