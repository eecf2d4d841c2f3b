"""From rows to messages: what the system, the user and the assistant say. Words come from resources/prompts/.

The chat template, which turns messages into tokens, is the tokenizer's own (`render.py`).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from winnow.core.config.base import PromptField, Settings
from winnow.core.errors import WinnowError
from winnow.core.study import parse, read_yaml
from winnow.core.tables import Row

FOLDER = Path(__file__).parents[3] / "resources" / "prompts"

_HEADING = re.compile(r"^## +(.+?) *$", re.MULTILINE)


class Parts(Settings):
    """One line of the system turn for each part of a response."""

    free: str
    sections: str
    rating: str
    rating_number: str
    confidence: str


class ResponseTexts(Settings):
    """How the parts of a response are written; a part without words is not."""

    text: str
    rating: str = ""
    confidence: str = ""


class Template(Settings):
    """A file of resources/prompts: the words around the data. Without `parts` the system turn is the intro alone."""

    intro: str
    parts: Parts | None = None
    known_sections: tuple[str, ...] = ()
    instruction: str
    fields: dict[PromptField, str] = Field(min_length=1)
    response: ResponseTexts


def read_template(name: str, folder: Path = FOLDER) -> Template:
    """Read a template by its name.

    Raises:
        WinnowError: if there is none of that name, or a key is wrong.
    """
    return parse(Template, read_yaml(folder / f"{name}.yaml"), folder / f"{name}.yaml")


def _fill(pattern: str, **values: str) -> str:
    """Put values in the places of a pattern; braces in the values stay what they are."""
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], pattern)


def number(value: float) -> str:
    """Return a number as people write it: 8, 6.5."""
    return f"{value:g}"


def rating_text(response: Row) -> str | None:
    """Return what is written under Rating: the label as it was given, else the number; None without a rating."""
    if response["rating"] is None:
        return None
    return response["rating_label"] or number(response["rating"])


def confidence_text(response: Row) -> str | None:
    """Return what is written under Confidence, None where it is unknown."""
    if response["confidence"] is None:
        return None
    return response["confidence_label"] or number(response["confidence"])


def response_text(template: Template, response: Row) -> str:
    """Return the text that is trained: review, rating, confidence; null parts are left out."""
    parts = [_fill(template.response.text, text=response["text"].strip())]
    if template.response.rating and (rating := rating_text(response)) is not None:
        parts.append(_fill(template.response.rating, text=rating.strip()))
    if template.response.confidence and (confidence := confidence_text(response)) is not None:
        parts.append(_fill(template.response.confidence, text=confidence.strip()))
    return "\n\n".join(parts)


def sections_of(template: Template, text: str) -> list[str]:
    """Return the known level-2 headings of a response, in the template's order."""
    found = {heading.casefold() for heading in _HEADING.findall(text)}
    return [name for name in template.known_sections if name.casefold() in found]


def system_text(template: Template, responses: Sequence[Row]) -> str:
    """Return the system turn: the parts that all given responses have, and the rating scale.

    Args:
        template: the words.
        responses: one response, or the two of a pair, which share one prompt.

    Raises:
        WinnowError: if the responses were rated on different scales: one prompt cannot ask for both.
    """
    if template.parts is None:
        return template.intro
    lines = [template.intro]
    named = [set(sections_of(template, response["text"])) for response in responses]
    sections = [name for name in template.known_sections if all(name in names for names in named)]
    lines.append(_fill(template.parts.sections, sections=", ".join(sections)) if sections else template.parts.free)
    if all(response["rating"] is not None for response in responses):
        scales = {tuple(response["rating_scale"] or ()) for response in responses}
        if len(scales) > 1:
            ids = " and ".join(str(response["response_id"]) for response in responses)
            raise WinnowError(f"responses {ids}", "answer one prompt on two rating scales", "check the corpus")
        labelled = any(":" in (response["rating_label"] or "") for response in responses)
        pattern = template.parts.rating if labelled else template.parts.rating_number
        lines.append(_fill(pattern, scale=", ".join(map(number, next(iter(scales))))))
    if all(response["confidence"] is not None for response in responses):
        lines.append(template.parts.confidence)
    return "\n".join(lines)


def shown_fields(prompt: Row, prompt_fields: Sequence[PromptField]) -> dict[PromptField, str]:
    """Return the fields of a prompt that are shown and not empty, in their order."""
    return {name: prompt[name].strip() for name in prompt_fields if (prompt[name] or "").strip()}


def user_text(template: Template, fields: Mapping[PromptField, str]) -> str:
    """Return the user turn: the instruction, then the fields."""
    return "\n\n".join(
        [template.instruction, *(_fill(template.fields[name], text=text) for name, text in fields.items())]
    )


def cut_field(fields: Mapping[PromptField, str]) -> PromptField:
    """Return the field that gives way where a prompt is too long: the body, else the longest."""
    return "body" if "body" in fields else max(fields, key=lambda name: len(fields[name]))
