"""Trainings, and what is measured after them."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from winnow.core.config.base import Count, GpuModel, Modality, Name, Positive, PositiveShare, Settings, Stage


class Guard(Settings):
    """Bounds of a second metric; a measurement outside them is no improvement, whatever the first one says."""

    metric: str = Field(description="as metrics.jsonl names it on eval lines")
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a guard needs min, max or both")
        return self


class Watched(Settings):
    """What measurements on validation rows are judged by. The one before the first step is not counted."""

    metric: str = Field("loss", description="as metrics.jsonl names it on eval lines")
    mode: Literal["min", "max"] = Field("min", description="whether lower or higher is better")
    guard: Guard | None = None


class EarlyStopping(Watched):
    """When a run ends before its last step."""

    patience: Positive = Field(3, description="measurements in a row without improvement after which it stops")
    min_delta: Annotated[float, Field(ge=0)] = Field(0.0, description="an improvement is larger than this")


class OwnKeys(Settings):
    """Keys of a recipe that are Winnow's own; all others are fields of TRL's classes."""

    effective_batch_size: Positive = Field(description="rows of one optimiser step, over all processes")
    train_rows: Positive | None = Field(
        None,
        description="train on so many rows, the first by a hash of their ids, so that subsets are nested; null: all",
    )
    trainable_parameters: Positive | None = Field(
        None, description="how many the run must train, where that is to be sure; null: whatever it is"
    )
    freeze_vision_tower: bool = Field(True, description="whether what sees images, projector included, stays as it is")
    early_stopping: EarlyStopping | None = Field(None, description="null trains to the last step")
    select: Literal["last", "best"] = Field("last", description="which step's weights are the finished model")
    best_by: Watched | None = Field(
        None, description="what best means; null: what early_stopping watches, else the lowest loss"
    )

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the default of every key that has one."""
        return {name: field.default for name, field in cls.model_fields.items() if not field.is_required()}

    @property
    def selected_by(self) -> Watched | None:
        """What the finished model is selected by; None for the last step."""
        if self.select == "last":
            return None
        return self.best_by or self.early_stopping or Watched()


class OwnSftKeys(OwnKeys):
    """Keys of Winnow's own in a recipe of SFT."""

    loss_normalization: Literal["per_token", "sequence", "token_global"] = Field(
        "token_global",
        description="what weighs alike in a step: per_token and sequence a response, token_global a token",
    )
    normalize_constant: Annotated[float, Field(gt=0)] = Field(
        1.0, description="loss_normalization: sequence divides a response's sum by it"
    )


OWN_KEYS: dict[Stage, type[OwnKeys]] = {"sft": OwnSftKeys, "dpo": OwnKeys}


class Run(Settings):
    """One training, or with `sweep` several."""

    stage: Stage
    dataset: Name
    recipe: str = Field(description="file in recipes/")
    parent: str | None = Field(None, description="the run it starts from; null starts from the base model")
    modality: Modality | None = Field(None, description="where the run's name has no {modality}")
    overrides: dict[str, Any] = Field(default_factory=dict, description="recipe keys with other values")
    sweep: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict, description="recipe key (or seed) → values; one run for each combination, named by them"
    )
    seed: int = 42
    gpu: Count = Field(0, description="GPUs of the job on all its nodes; 0 trains on the CPU")
    gpu_model: GpuModel | None = Field(None, description="SLURM's name of their kind; null: config.yaml's gpus.model")
    processes: Positive | None = Field(
        None, description="processes that train together; null is one per GPU, or one on a CPU"
    )
    nodes: Positive = Field(1, description="machines that the processes are spread over evenly")
    threads: Positive = Field(8, description="CPUs, of each machine")
    mem_mb: Positive = Field(16_000, description="memory of each machine, for the first attempt")
    runtime: Positive = Field(240, description="minutes, for the first attempt")


def area_of_images(max_pixels: int | None, min_pixels: int | None) -> dict[str, int]:
    """Return {max_pixels, min_pixels}; empty where either is null."""
    return {} if max_pixels is None or min_pixels is None else {"max_pixels": max_pixels, "min_pixels": min_pixels}


def _is_absent(value: Any) -> bool:
    return value is None


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
    max_pixels: Positive | None = None  # of the modality, null where it shows no images
    min_pixels: Positive | None = None
    pack_to: Positive | None = Field(None, description="tokens that a packed row may have: the modality's context")
    # Left out where they are null: what a run without labels is made from must not change by keys that it has not.
    answers: dict[str, str] | None = Field(
        None, exclude_if=_is_absent, description="label → its word, where training scores the answers to labelled rows"
    )
    positive: str | None = Field(None, exclude_if=_is_absent, description="the label whose F1 is told apart")
    gpu: int
    processes: Positive = 1
    nodes: Positive = 1
    gpu_model: GpuModel | None = None  # this and the next three are SCHEDULING: trainers are not told
    threads: Positive = 8
    mem_mb: Positive = 16_000
    runtime: Positive = 240

    @property
    def pixels(self) -> dict[str, int]:
        """The area of images, {max_pixels, min_pixels}; empty where the model is shown none."""
        return area_of_images(self.max_pixels, self.min_pixels)

    @property
    def is_adapter(self) -> bool:
        """Whether training makes a LoRA adapter, which is merged before anything reads the model."""
        return bool(self.recipe.get("use_peft"))

    @property
    def is_launched(self) -> bool:
        """Whether a launcher starts its processes; DeepSpeed needs one for a single process too."""
        return self.processes > 1 or bool(self.recipe.get("deepspeed"))

    @property
    def recipe_files(self) -> tuple[str, ...]:
        """Files that the recipe names; what they hold is a part of what the run is."""
        named = (self.recipe.get(key) for key in ("deepspeed", "fsdp_config"))
        return tuple(name for name in named if isinstance(name, str))


Engine = Literal["transformers", "vllm"]


class Generation(Settings):
    """Responses that every run writes to the same held-out prompts, and by what engine."""

    backend: Engine = Field(
        "transformers", description="transformers: prompt by prompt, for few and short ones; vllm: for many, on GPUs"
    )
    backends: dict[Modality, Engine] = Field(
        default_factory=dict,
        description="of single modalities, where it is another; images want transformers",
    )
    prompts: Count | None = Field(
        12, description="held-out prompts that are answered, drawn by id hash; 0 generates nothing, null answers all"
    )
    samples: Count = Field(2, description="responses drawn for each prompt, besides the greedy one")
    temperature: Annotated[float, Field(gt=0)] = Field(1.0, description="of the drawn ones")
    top_p: PositiveShare = Field(1.0, description="drawn from the most probable tokens that make up this share")
    max_new_tokens: Positive = Field(512, description="where a response is cut off")
    batch_size: Positive = Field(8, description="responses to one prompt made at once; backend transformers")
    seed: Count = Field(0, description="of what is drawn, with the prompt's id and the number of the response")
    gpu: Count = Field(0, description="GPUs of a job, over which vllm divides the model; 0 generates on the CPU")
    gpu_model: GpuModel | None = Field(None, description="SLURM's name of their kind; null: config.yaml's gpus.model")
    threads: Positive = 8
    mem_mb: Positive = 16_000
    runtime: Positive = Field(120, description="minutes, for the first attempt")

    @model_validator(mode="after")
    def _one_gpu_at_most(self) -> Self:
        if self.gpu > 1 and "transformers" in {self.backend, *self.backends.values()}:
            raise ValueError(f"gpu is {self.gpu}, and backend transformers uses one: set 1, or backend vllm")
        return self

    def of(self, modality: Modality) -> Self:
        """Return the settings of one modality, with its engine as the only one."""
        return self.model_copy(update={"backend": self.backends.get(modality, self.backend), "backends": {}})


class GenerationJob(Settings):
    """What generate_responses.py is told."""

    run: str = Field(description="a run, or base_<modality>")
    generation: Generation = Field(default_factory=Generation)
    max_pixels: Positive | None = None  # of the modality, null where it shows no images
    min_pixels: Positive | None = None

    @property
    def pixels(self) -> dict[str, int]:
        """The area of images, {max_pixels, min_pixels}; empty where the model is shown none."""
        return area_of_images(self.max_pixels, self.min_pixels)


class Evaluation(Settings):
    """What is measured on held-out prompts after training."""

    max_loss_rows: Positive = Field(200, description="held-out responses for loss and perplexity, drawn by id hash")
    generation: Generation = Field(default_factory=Generation)
    batch_size: Positive = Field(4, description="responses scored at once")
    gpu: Count = 0
    gpu_model: GpuModel | None = Field(None, description="SLURM's name of their kind; null: config.yaml's gpus.model")
    threads: Positive = 8
    mem_mb: Positive = 16_000
    runtime: Positive = 120
