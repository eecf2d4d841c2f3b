"""What all groups of settings share: how they are read, and kinds of values."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
PromptField = Literal["title", "abstract", "body"]
GpuModel = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")]
Stage = Literal["sft", "dpo"]
Modality = Literal["clean", "clean_images", "vision"]

# Keys that only the scheduler is told: where and how long a job may run changes no result, so a change reruns nothing.
SCHEDULING = frozenset({"gpu_model", "threads", "mem_mb", "runtime"})


class Settings(BaseModel):
    """A group of keys. Unknown keys are errors, values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)
