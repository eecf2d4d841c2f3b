"""Reasons for verdicts: templates with a text for either verdict, of one length, drawn by the prompt's id alone."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from winnow.core.config.base import Name, Settings
from winnow.core.ids import unit_interval
from winnow.core.study import parse, read_yaml


class Reason(Settings):
    """A template: the reason for either verdict, in as many words."""

    id: Name
    sarcastic: str = Field(min_length=1)
    not_sarcastic: str = Field(min_length=1)

    @model_validator(mode="after")
    def _are_as_long(self) -> Self:
        lengths = [len(text.split()) for text in (self.sarcastic, self.not_sarcastic)]
        if lengths[0] != lengths[1]:
            raise ValueError(f"the reasons of {self.id} have {lengths[0]} and {lengths[1]} words: length would tell")
        if self.sarcastic == self.not_sarcastic:
            raise ValueError(f"the reasons of {self.id} are equal: a reason must fit its verdict")
        return self


class Reasons(Settings):
    """A file of resources/reasons."""

    templates: tuple[Reason, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _have_names(self) -> Self:
        ids = [template.id for template in self.templates]
        if len(set(ids)) < len(ids):
            raise ValueError(f"ids occur twice among {', '.join(ids)}")
        return self

    def of(self, prompt_id: str) -> Reason:
        """Return a prompt's template, which depends on its id alone and so tells nothing about its label."""
        return self.templates[int(unit_interval(prompt_id, "reasons") * len(self.templates))]


def read_reasons(path: Path) -> Reasons:
    """Read and check a file of reasons.

    Raises:
        WinnowError: if there is none, or a template's reasons differ in length.
    """
    return parse(Reasons, read_yaml(path), path)
