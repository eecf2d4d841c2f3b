"""Trainings, and what is measured after them."""

from typing import Any

from pydantic import Field

from winnow.core.config.base import Count, Modality, Name, Positive, Settings, Stage


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
    max_pixels: Positive | None = None  # of the modality, null where it shows no images
    min_pixels: Positive | None = None
    gpu: int
    threads: Positive = 8  # these three are for the scheduler; trainers are not told, so a change retrains nothing
    mem_mb: Positive = 16_000
    runtime: Positive = 240

    @property
    def pixels(self) -> dict[str, int]:
        """The area of images, {max_pixels, min_pixels}; empty where the model is shown none."""
        if self.max_pixels is None or self.min_pixels is None:
            return {}
        return {"max_pixels": self.max_pixels, "min_pixels": self.min_pixels}

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
