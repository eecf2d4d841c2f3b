"""A study and a site as they are written, a study as the rules get it, and their JSON schemas."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from winnow.core.config.base import GpuModel, Modality, Name, PositiveShare, Settings
from winnow.core.config.corpora import Corpus
from winnow.core.config.datasets import Dataset, ModalitySettings
from winnow.core.config.models import Model
from winnow.core.config.runs import Evaluation, ResolvedRun, Run
from winnow.core.config.signals import Signal


class Study(Settings):
    """One YAML file in studies/."""

    study: Name
    description: str = Field("", description="one sentence for the head of the report")
    license: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]*$")] = Field(
        "unknown",
        description="for the cards: the hub's name of the licence under which data and models may be passed on",
    )
    corpora: dict[Name, Corpus]
    signal: Signal
    datasets: dict[Name, Dataset]
    modalities: dict[Modality, ModalitySettings]
    same_rows: bool = Field(
        True, description="a row that one modality leaves out is left out in all, so that they compare on equal data"
    )
    models: dict[Name, Model]
    runs: dict[str, Run]
    evaluation: Evaluation = Field(default_factory=Evaluation)
    exports: tuple[Literal["llama_factory", "verl"], ...] = ()


class Interpreters(Settings):
    """Python for each kind of work where conda is not used; null is the one that runs Snakemake."""

    data: str | None = None
    judge: str | None = None
    train: str | None = None
    report: str | None = None


class Gpus(Settings):
    """The GPUs that jobs get here, for the scheduler and for the estimates made before. They change no result."""

    model: GpuModel | None = Field(
        None, description="SLURM's name of the kind to ask for, where a study names none; null asks for any"
    )
    memory_gb: Annotated[float, Field(gt=0)] | None = Field(
        None, description="10^9 bytes of one; runs that cannot fit are refused. null refuses none"
    )
    tflops: Annotated[float, Field(gt=0)] | None = Field(
        None, description="peak rate of one in bfloat16, dense, 10^12 a second; null tells no time"
    )
    mfu: PositiveShare = Field(
        0.4, description="share of the peak that training is assumed to reach (docs/methods.md, Estimates)"
    )


class Site(Settings):
    """config.yaml: where things lie on this machine."""

    studies: tuple[Name, ...] = Field(("demo",), description="what `snakemake` without a target builds")
    data_root: str = Field("data", description="replaces {data_root} in the paths of a study")
    trackers: tuple[Literal["wandb", "trackio", "tensorboard"], ...] = Field((), description="besides metrics.jsonl")
    interpreters: Interpreters = Field(default_factory=Interpreters)
    gpus: Gpus = Field(default_factory=Gpus)


class ResolvedStudy(Settings):
    """A study after `extends`, paths, recipes and sweeps: what the rules and the saved spec hold."""

    study: Name
    description: str
    license: str
    corpora: dict[Name, Corpus]
    signal: Signal
    datasets: dict[Name, Dataset]
    modalities: dict[Modality, ModalitySettings]
    same_rows: bool = True
    models: dict[Name, Model]
    runs: dict[str, ResolvedRun]
    evaluation: Evaluation
    exports: tuple[str, ...]

    def answers_of(self, corpus: str) -> dict[str, str] | None:
        """Return label → its word for a corpus whose responses are scored by their prompts' labels, else None."""
        return self.corpora[corpus].words if self.signal.kind == "label" else None


SCHEMAS: dict[str, type[Settings]] = {"config": Site, "study": Study}


def schema_files(folder: Path) -> dict[Path, dict[str, Any]]:
    """Return the JSON schema that each file in schemas/ must hold."""
    return {folder / f"{name}.schema.json": model.model_json_schema() for name, model in SCHEMAS.items()}
