"""What measure_labels.py is told."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from winnow.core.config.base import Modality, Settings
from winnow.evaluation.labels.measuring import REFERENCE


class MeasuringSpec(Settings):
    """Runs with their modalities, and the answers.

    Attributes:
        runs: run or base_<modality> → modality.
        answers: label → its word.
        classes: the labels with the positive one first: canonical JSON keeps no order of keys.
    """

    runs: dict[str, Modality]
    answers: dict[str, str]
    classes: Annotated[tuple[str, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if sorted(self.classes) != sorted(self.answers):
            raise ValueError("answers and classes do not name the same labels")
        if REFERENCE in self.runs:
            raise ValueError(f"a run is named {REFERENCE}, as the baseline is: rename it")
        return self
