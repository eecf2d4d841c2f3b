"""The types of everything that a user may write: site settings, studies and recipes.

These types are the only definition. `schemas/*.json` are generated from them, defaults live here
and nowhere else, and unknown keys are refused at every level.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
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
    """Deterministic cues beside each item; a stand-in for a reader, see docs/judging.md for what it is not."""

    backend: Literal["lexical"]
    threads: Positive = 1
    mem_mb: Positive = 4_000
    runtime: Positive = Field(60, description="minutes, for the first attempt; of each shard, as for every judge")

    @property
    def gpu(self) -> int:
        """None is used."""
        return 0


class LanguageModelJudge(Settings):
    """What judges that are language models have in common."""

    mode: Literal["item", "batch"] = Field(
        "item",
        description="item: one question per prompt, answered by its first token's probabilities; batch: all, in JSON",
    )
    thinking: bool = Field(False, description="the model thinks aloud first; batch mode only, read after </think>")
    thinking_tokens: Positive = Field(4096, description="room for that")
    seed: Count = Field(0, description="of the order of items in batch mode, with each text's hash")
    min_mass: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1, description="item mode: where yes and no together are less probable, there is no answer"
    )

    @model_validator(mode="after")
    def _thinks_in_batch_mode(self) -> Self:
        if self.thinking and self.mode == "item":
            raise ValueError("a thinking model's first token answers nothing: use mode batch")
        return self


class VllmJudge(LanguageModelJudge):
    """A model in vLLM's engine, one engine per shard."""

    backend: Literal["vllm"]
    model: Name = Field(description="a key of models")
    max_model_len: Positive = Field(8192, description="tokens of a prompt; of a longer review head and tail")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    engine: dict[str, Any] = Field(default_factory=dict, description="further arguments of vllm.LLM, by its names")
    gpu: Count = Field(1, description="GPUs of a shard, over which the model is divided; 0 judges on the CPU")
    threads: Positive = 8
    mem_mb: Positive = 64_000
    runtime: Positive = 240

    @model_validator(mode="after")
    def _keeps_to_its_own(self) -> Self:
        own = {"model", "tokenizer", "revision", "seed", "dtype", "max_model_len"}
        own |= {"tensor_parallel_size", "trust_remote_code", "enable_prefix_caching"}
        if taken := sorted(own & self.engine.keys()):
            raise ValueError(f"engine must not set {', '.join(taken)}: Winnow does")
        return self


class OpenAIJudge(LanguageModelJudge):
    """A model behind an OpenAI-compatible endpoint, such as `vllm serve`."""

    backend: Literal["openai"]
    base_url: str = Field(description="from http:// or https:// to /v1")
    model: str = Field(description="its name at the endpoint")
    revision: str = Field("unknown", description="what you know of its version: change it and all is judged anew")
    api_key_env: str = Field("OPENAI_API_KEY", description="environment variable with the key; keys stand in no file")
    concurrency: Positive = Field(16, description="requests under way at once, of each shard")
    requests_per_minute: Positive | None = Field(None, description="limit of each shard; null = none")
    timeout_s: Positive = Field(120, description="of one request")
    patience_s: Positive = Field(900, description="how long a server that does not answer is tried again")
    max_review_chars: Annotated[int, Field(ge=500)] = Field(
        24_000, description="a longer review keeps head and tail, flagged"
    )
    threads: Positive = 2
    mem_mb: Positive = 4_000
    runtime: Positive = 240

    @model_validator(mode="after")
    def _has_an_address(self) -> Self:
        if "@" in self.base_url:
            raise ValueError("base_url must not hold a user or password: name a variable in api_key_env")
        if not self.base_url.startswith(("http://", "https://")):
            raise ValueError(f"base_url {self.base_url!r} is no address: write it from http:// to /v1")
        return self

    @property
    def gpu(self) -> int:
        """None is used here; the server has its own."""
        return 0


Judge = Annotated[LexicalJudge | VllmJudge | OpenAIJudge, Field(discriminator="backend")]


class Screening(Settings):
    """Which candidate items are dropped before the search (DOMAIN: screening); null leaves a test out."""

    max_null_rate: Share = 0.1
    min_prevalence: Share = Field(0.05, description="share of yes; items outside it tell nothing apart")
    max_prevalence: Share = 0.95
    min_retest_kappa: float | None = Field(0.6, description="between repeated judgements of one text")
    max_length_correlation: Share | None = Field(0.5, description="with log length, absolute")
    max_rating_correlation: Share | None = Field(0.35, description="with the rating, absolute; not for target decision")
    max_text_similarity: Share = Field(0.85, description="TF-IDF cosine of two items' texts from which one goes")
    max_phi: Share = Field(0.8, description="correlation of two items' answers from which one goes")


class ChecklistOptimization(Settings):
    """How items are chosen from the checklist's, on the `optimize` part of train alone; docs/methods.md."""

    target: Literal["alignment", "decision", "quality"] = Field(
        "alignment",
        description="alignment: rating above the middle of its scale and acceptance agree; decision: accepted;"
        " quality: labels by people",
    )
    labels: str | None = Field(None, description="CSV with response_id and label (0 or 1), for target quality")
    min_items: Annotated[int, Field(ge=8)] = 8
    max_items: Positive = 15
    folds: Annotated[int, Field(ge=2)] = 5
    redundancy_penalty: Annotated[float, Field(ge=0)] = 0.02
    beam_width: Positive = 1
    permutations: Annotated[int, Field(ge=199)] = 199
    random_subsets: Positive = 100
    bootstraps: Positive = 100
    retest_sample: Count = Field(200, description="responses judged again to see which items are stable; 0 = none")
    screening: Screening = Field(default_factory=Screening)
    strict: bool = Field(False, description="stop the run where the chosen checklist is not better than chance")
    seed: Count = 0

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.max_items < self.min_items:
            raise ValueError("max_items must not be below min_items")
        if (self.target == "quality") != (self.labels is not None):
            raise ValueError("labels go with target quality, and it needs them")
        return self


class Gates(Settings):
    """What a judge must reach, or the run stops before anything is selected; null reports without a gate."""

    max_null_rate: Share = Field(0.02, description="share of unanswered items")
    max_item_null_rate: Share | None = Field(0.1, description="the same of any one item")
    max_quartile_null_rate: Share | None = Field(0.05, description="the same of any quarter of responses by length")
    min_retest_kappa: float | None = Field(0.6, description="mean over items, judged twice alike")
    max_order_flip_rate: Share | None = Field(0.1, description="share of answers changed by the order of questions")
    max_injection_flip_rate: Share | None = Field(None, description="share of answers changed by a planted instruction")
    max_length_correlation: Share | None = Field(None, description="of checkmarks and log length, absolute (Spearman)")
    min_second_kappa: float | None = Field(None, description="mean over items, against second_judge")
    min_people_kappa: float | None = Field(None, description="mean over items, against annotations")


class Reliability(Settings):
    """How a judge is tested on a sample of the responses that it judged."""

    sample: Count = Field(200, description="responses of each corpus, drawn by id hash; 0 leaves the tests out")
    checks: tuple[Literal["retest", "reordered", "injected"], ...] = Field(
        ("retest", "reordered", "injected"),
        description="judged again: alike; in another order; with an instruction to the judge planted in the text",
    )
    second_judge: Judge | None = Field(None, description="another judge, of another family, for the same sample")
    sheet_rows: Count = Field(100, description="responses in the sheet for people to fill in, blind; 0 = no sheet")
    sheet: str | None = Field(None, description="that sheet, filled in: CSV, compared with the judge in the report")


class ChecklistSignal(Settings):
    """Checkmarks of a judge: how many yes/no items of a checklist a response meets."""

    kind: Literal["checklist"]
    checklist: str = Field(description="YAML file of items (resources/checklists/) or an optimal_checklist.json")
    optimize: ChecklistOptimization | None = Field(
        None, description="choose the best items of `checklist` first; null judges by all of it"
    )
    judge: Judge
    shards: Positive = Field(1, description="jobs into which judging is divided; results do not depend on it")
    limit: Count = Field(0, description="judge only this many responses, drawn by id hash, for a quick look; 0 = all")
    min_answered: Annotated[float, Field(gt=0, le=1)] = Field(
        0.9, description="a response with a smaller share of items answered is not selected"
    )
    gates: Gates = Field(default_factory=Gates)
    reliability: Reliability = Field(default_factory=Reliability)
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
    words: tuple[str, ...] = Field((), description="tokens of their own; a tiny judge needs yes and no")
    initializer_range: Annotated[float, Field(gt=0)] = Field(
        0.02, description="standard deviation of the weights; a tiny judge needs 0.3, or all it reads is alike to it"
    )
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
    judge: str | None = None
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
