"""The types of everything that a user may write: site settings, studies and recipes.

These types are the only definition. `schemas/*.json` are generated from them, defaults live here
and nowhere else, and unknown keys are refused at every level.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
PromptField = Literal["title", "abstract", "body"]
Stage = Literal["sft", "dpo"]
Modality = Literal["clean", "clean_images", "vision"]


class Settings(BaseModel):
    """A group of keys. Unknown keys are errors, values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# ---------------------------------------------------------------------------------------- corpora


class Splits(Settings):
    """How prompts are divided, by group and by hash, before anything is scored."""

    val: Fraction = Field(0.1, description="share of prompts for validation")
    test: Fraction = Field(0.1, description="share held out from every training; 0 only with an external test set")
    optimize: Fraction = Field(0.2, description="share of train prompts on which a checklist may be chosen")
    salt: str = Field("winnow", description="changes every draw at once; keep it for the life of a study")

    @model_validator(mode="after")
    def _leaves_train(self) -> Self:
        if self.val + self.test >= 1:
            raise ValueError("val + test must be below 1, or nothing is left to train on")
        return self


class CorpusSettings(Settings):
    """What every adapter has in common."""

    splits: Splits = Field(default_factory=Splits)
    prompt_fields: tuple[PromptField, ...] = Field(
        ("title", "abstract", "body"), description="which columns of a prompt the model is shown, in this order"
    )
    min_prompt_chars: Count = Field(2000, description="shorter prompts go to the ledger; 2000 where there is a body")
    min_response_chars: Count = Field(100, description="shorter responses go to the ledger")
    author_kinds: tuple[Literal["human", "model"], ...] = Field(
        ("human",), description="who may have written a response; others go to the ledger"
    )
    near_duplicate_jaccard: Annotated[float, Field(gt=0, le=1)] = Field(
        0.8, description="prompts at least this alike share a group, and so a split"
    )


class OpenReviewCorpus(CorpusSettings):
    """Peer reviews in the layout of docs/inputs.md: a file of papers and files of reviews."""

    adapter: Literal["openreview"]
    papers: str = Field(description="papers.jsonl or .jsonl.gz")
    reviews: str | None = Field(None, description="reviews.jsonl or .jsonl.gz, one record per review")
    model_reviews: tuple[str, ...] = Field((), description="CSV files of model-written reviews, one row per paper")
    years: tuple[int, ...] | None = Field(None, description="keep only these years; null keeps all")
    rating_scales: dict[int, tuple[float, ...]] = Field(
        default_factory=lambda: {
            2017: tuple(map(float, range(1, 11))),
            2018: tuple(map(float, range(1, 11))),
            2019: tuple(map(float, range(1, 11))),
            2020: (1.0, 3.0, 6.0, 8.0),
            2021: tuple(map(float, range(1, 11))),
            2022: (1.0, 3.0, 5.0, 6.0, 8.0, 10.0),
            2023: (1.0, 3.0, 5.0, 6.0, 8.0, 10.0),
            2024: (1.0, 3.0, 5.0, 6.0, 8.0, 10.0),
            2025: (1.0, 3.0, 5.0, 6.0, 8.0, 10.0),
        },
        description="year → every legal rating; a year that is absent here is an error, never a guess",
    )

    @model_validator(mode="after")
    def _has_responses(self) -> Self:
        if self.reviews is None and not self.model_reviews:
            raise ValueError("give reviews, model_reviews or both: a corpus without responses trains nothing")
        return self


class JsonlCorpus(CorpusSettings):
    """Any JSONL, CSV or Parquet file (gzip read directly) with a prompt and a response column."""

    adapter: Literal["jsonl"]
    path: str = Field(description="the file; its ending says what it is: .jsonl, .csv, .parquet, each also .gz")
    prompt_key: str = Field("prompt", description="column with the prompt's text")
    response_key: str = Field("response", description="column with the response's text")
    prompt_id_key: str | None = Field(None, description="column that names the prompt; else its text does")
    response_id_key: str | None = Field(None, description="column that names the response; else its content does")
    title_key: str | None = None
    decision_key: str | None = None
    ground_truth_key: str | None = None
    label_key: str | None = None
    year_key: str | None = None
    date_key: str | None = None
    rating_key: str | None = Field(None, description="column with a number on `rating_scale`")
    rating_scale: tuple[float, ...] = Field((), description="every legal rating; needed with rating_key")
    confidence_key: str | None = None
    author_kind: Literal["human", "model"] = "human"

    @model_validator(mode="after")
    def _has_scale(self) -> Self:
        if self.rating_key is not None and not self.rating_scale:
            raise ValueError("rating_key needs rating_scale: a rating means nothing without its scale")
        return self


class DemoCorpus(CorpusSettings):
    """Synthetic papers, reviews and decisions from a seeded generator; it says so in every row's source."""

    adapter: Literal["demo"]
    papers: Positive = 60
    reviews_per_paper: Positive = 4
    seed: int = 7


Corpus = Annotated[OpenReviewCorpus | JsonlCorpus | DemoCorpus, Field(discriminator="adapter")]


# ---------------------------------------------------------------------------------------- scoring


class LexicalJudge(Settings):
    """Deterministic cues beside each item; a stand-in for a reader, see docs/output.md for what it is not."""

    backend: Literal["lexical"]


class ChecklistSignal(Settings):
    """Checkmarks of a judge: how many yes/no items of a checklist a response meets."""

    kind: Literal["checklist"]
    checklist: str = Field(description="YAML file of items (resources/checklists/) or an optimal_checklist.json")
    judge: LexicalJudge
    shards: Positive = Field(1, description="jobs into which judging is divided; results do not depend on it")
    limit: Count = Field(0, description="judge only this many responses, drawn by id hash, for a quick look; 0 = all")
    min_answered: Annotated[float, Field(gt=0, le=1)] = Field(
        0.9, description="a response with a smaller share of items answered is not selected"
    )
    max_null_rate: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.02, description="the run stops above this share of unanswered items"
    )
    annotations: str | None = Field(None, description="people's labels (docs/inputs.md) to measure the judge against")


# --------------------------------------------------------------------------------------- datasets


class TopFraction(Settings):
    """SFT data: the best fraction of the eligible responses."""

    stage: Literal["sft"]
    corpus: Name
    policy: Literal["top_fraction"]
    fraction: Annotated[float, Field(gt=0, le=1)] = Field(0.2, description="exactly floor(fraction * N) are taken")
    require_rating: bool = Field(True, description="a response without a rating cannot teach one")


class Contrastive(Settings):
    """DPO data: a good and a poor response to the same prompt."""

    stage: Literal["dpo"]
    corpus: Name
    policy: Literal["contrastive"]
    decision: Literal["accept", "reject"] | None = Field("accept", description="only prompts decided so; null = any")
    min_rating_diff: Annotated[float, Field(gt=0)] = Field(2.0, description="signed: chosen minus rejected")
    min_checkmark_diff: Count = Field(2, description="signed, in checkmarks: chosen minus rejected")
    neutral: float | None = Field(5.0, description="chosen rated above it, rejected at or below; null = no such rule")
    max_pairs_per_prompt: Positive = 2
    max_similarity: Annotated[float, Field(gt=0, le=1)] = Field(0.9, description="pairs as alike are refused")
    length_caliper: Annotated[float, Field(ge=1)] | None = Field(
        None, description="largest ratio of the longer to the shorter response; null reports lengths without a limit"
    )
    overlap_policy: Literal["allow", "response_disjoint", "prompt_disjoint"] = Field(
        "allow", description="whether responses or prompts of SFT datasets of the same corpus may occur here"
    )


Dataset = Annotated[TopFraction | Contrastive, Field(discriminator="policy")]


class ModalitySettings(Settings):
    """How a prompt is shown to a model, and how much of it fits."""

    model: Name = Field(description="a key of models")
    context: Positive = Field(28000, description="tokens that prompt and response together may fill")
    response_tokens: Positive = Field(2048, description="of these, kept free for the response")


# ----------------------------------------------------------------------------------------- models


class TinyModel(Settings):
    """A random Qwen2 with a tokenizer trained on the corpora: for a CPU, not for results."""

    vocab_size: Positive = 2048
    hidden_size: Positive = 64
    layers: Positive = 2
    heads: Positive = 4
    kv_heads: Positive = 2
    intermediate_size: Positive = 128
    max_position_embeddings: Positive = 32768
    seed: int = 0


class Model(Settings):
    """A base model: exactly one of a hub name, a local folder, or a tiny one built here."""

    name: str | None = Field(None, description="hub name, safetensors only, no remote code")
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = Field(
        None, description="commit on the hub; where absent the default branch is resolved once and kept"
    )
    path: str | None = Field(None, description="a local folder with config.json and *.safetensors")
    tiny: TinyModel | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.name, self.path, self.tiny)) != 1:
            raise ValueError("give exactly one of name, path, tiny")
        if self.revision is not None and self.name is None:
            raise ValueError("revision goes with name")
        return self


# ------------------------------------------------------------------------------------------- runs


class Run(Settings):
    """One training, or with `sweep` several."""

    stage: Stage
    dataset: Name
    recipe: str = Field(description="file in recipes/")
    parent: str | None = Field(None, description="the run it starts from; null starts from the base model")
    modality: Modality | None = Field(None, description="where the run's name has no {modality}")
    overrides: dict[str, Any] = Field(default_factory=dict, description="recipe keys with other values")
    sweep: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict, description="recipe key (or seed) → values; one run for each combination"
    )
    seed: int = 42
    gpu: Count = Field(0, description="GPUs of the job; 0 trains on the CPU")
    threads: Positive = 8
    mem_mb: Positive = 16_000
    runtime: Positive = Field(240, description="minutes, for the first attempt")


class ResolvedRun(Settings):
    """A run as a trainer gets it: names resolved, sweep expanded, recipe and overrides merged."""

    name: str
    stage: Stage
    dataset: Name
    modality: Modality
    model: Name
    parent: str | None
    seed: int
    recipe: dict[str, Any]
    gpu: int
    threads: Positive = 8  # these three are for the scheduler; trainers are not told, so a change retrains nothing
    mem_mb: Positive = 16_000
    runtime: Positive = 240

    @property
    def is_adapter(self) -> bool:
        """Whether training makes a LoRA adapter, which is merged before anything reads the model."""
        return bool(self.recipe.get("use_peft"))


class Evaluation(Settings):
    """What is measured on held-out prompts after training."""

    max_loss_rows: Positive = Field(200, description="held-out responses for loss and perplexity, drawn by id hash")
    samples: Count = Field(6, description="held-out prompts for which responses are generated and shown")
    max_new_tokens: Positive = 256
    batch_size: Positive = 4
    gpu: Count = 0
    threads: Positive = 8
    mem_mb: Positive = 16_000
    runtime: Positive = 120


class Study(Settings):
    """One YAML file in studies/."""

    study: Name
    description: str = Field("", description="one sentence for the head of the report")
    corpora: dict[Name, Corpus]
    signal: ChecklistSignal
    datasets: dict[Name, Dataset]
    modalities: dict[Modality, ModalitySettings]
    models: dict[Name, Model]
    runs: dict[str, Run]
    evaluation: Evaluation = Field(default_factory=Evaluation)
    exports: tuple[Literal["llama_factory", "verl"], ...] = ()


class Interpreters(Settings):
    """Python for each kind of work where conda is not used; null is the one that runs Snakemake."""

    data: str | None = None
    train: str | None = None
    report: str | None = None


class Site(Settings):
    """config.yaml: where things lie on this machine."""

    studies: tuple[Name, ...] = Field(("demo",), description="what `snakemake` without a target builds")
    data_root: str = Field("data", description="replaces {data_root} in the paths of a study")
    trackers: tuple[Literal["wandb", "trackio", "tensorboard"], ...] = Field((), description="besides metrics.jsonl")
    interpreters: Interpreters = Field(default_factory=Interpreters)


class ResolvedStudy(Settings):
    """A study after `extends`, paths, recipes and sweeps: what the rules and the saved spec hold."""

    study: Name
    description: str
    corpora: dict[Name, Corpus]
    signal: ChecklistSignal
    datasets: dict[Name, Dataset]
    modalities: dict[Modality, ModalitySettings]
    models: dict[Name, Model]
    runs: dict[str, ResolvedRun]
    evaluation: Evaluation
    exports: tuple[str, ...]


SCHEMAS: dict[str, type[Settings]] = {"config": Site, "study": Study}


def schema_files(folder: Path) -> dict[Path, dict[str, Any]]:
    """Return the JSON schema that each file in schemas/ must hold."""
    return {folder / f"{name}.schema.json": model.model_json_schema() for name, model in SCHEMAS.items()}
