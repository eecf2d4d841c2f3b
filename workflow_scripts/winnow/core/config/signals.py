"""What says how good a response is, and how far that can be trusted."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from winnow.core.config.base import Count, GpuModel, Name, Positive, PositiveShare, Settings, Share


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

    @property
    def gpu_model(self) -> None:
        """None is used."""


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
    gpu_model: GpuModel | None = Field(None, description="SLURM's name of their kind; null: config.yaml's gpus.model")
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

    @property
    def gpu_model(self) -> None:
        """None is used here."""


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
    min_answered: PositiveShare = Field(
        0.9, description="a response with a smaller share of items answered is not selected"
    )
    gates: Gates = Field(default_factory=Gates)
    reliability: Reliability = Field(default_factory=Reliability)
    annotations: str | None = Field(None, description="people's labels (docs/inputs.md) to measure the judge against")

    @property
    def judges(self) -> dict[str, Judge]:
        """The judges by the keys that name them."""
        second = self.reliability.second_judge
        return {"judge": self.judge} | ({} if second is None else {"reliability.second_judge": second})


class LabelGates(Settings):
    """What must hold of the responses to labelled prompts, or the run stops before anything is selected."""

    max_null_rate: Share = Field(0.02, description="share of responses whose first word is no answer")


class LabelSignal(Settings):
    """Agreement with labels by people: whether a response says what its prompt's label says."""

    kind: Literal["label"]
    gates: LabelGates = Field(default_factory=LabelGates)

    @property
    def checklist(self) -> None:
        """None is asked."""

    @property
    def optimize(self) -> None:
        """There is nothing to choose."""

    @property
    def min_answered(self) -> float:
        """A response whose verdict cannot be read is not selected."""
        return 1.0

    @property
    def judges(self) -> dict[str, Judge]:
        """Nobody judges."""
        return {}

    @property
    def shards(self) -> int:
        """There are no jobs of judging."""
        return 0


Signal = Annotated[ChecklistSignal | LabelSignal, Field(discriminator="kind")]
