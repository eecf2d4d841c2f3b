"""Instructions to a judge, to be planted in reviews: does a judge do what the text says?

resources/injections.yaml holds them. Reviews with one planted are judged as a batch of their own, and the share of
answers that change is reported.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from winnow.core.config.base import Name, Settings
from winnow.core.ids import unit_interval
from winnow.core.study import parse, read_yaml

Place = Literal["start", "middle", "end"]
PLACES: tuple[Place, ...] = ("start", "middle", "end")


class Injection(Settings):
    """One text that tells a judge what to answer."""

    id: Name
    language: Annotated[str, Field(pattern=r"^[a-z]{2}$")] = Field(description="ISO 639-1 code")
    disguise: Name = Field(description="what it pretends to be, or how it hides")
    wants: Literal["yes", "no"] = Field(description="the answer that it asks for")
    text: Annotated[str, Field(min_length=1)]


class _File(Settings):
    injections: Annotated[tuple[Injection, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_no_twins(self) -> "_File":
        ids = [injection.id for injection in self.injections]
        if twins := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"ids occur twice: {', '.join(twins)}")
        return self


def load_injections(path: Path) -> tuple[Injection, ...]:
    """Read and check a file of injections, in its order.

    Raises:
        WinnowError: naming file, item and mistake.
    """
    content = read_yaml(path)
    found = content.get("injections")
    # One by one where that is possible, so that an error names the item and not its number.
    for number, item in enumerate(found if isinstance(found, list) else [], 1):
        name = item.get("id", number) if isinstance(item, dict) else number
        parse(Injection, item, f"{path}, item {name}")
    return parse(_File, content, path).injections


def _middle(text: str) -> int:
    """Return the break nearest to the middle: between paragraphs, else lines, else words, else the end."""
    for mark in ("\n\n", "\n", " "):
        places = [place for place in range(len(text)) if text.startswith(mark, place)]
        if places:
            return min(places, key=lambda place: (abs(2 * place - len(text)), place))
    return len(text)


def placed(text: str, injection: Injection, place: Place) -> str:
    """Return the text with the injection as a paragraph of its own, at one place."""
    if place == "start":
        return f"{injection.text}\n\n{text}"
    cut = _middle(text) if place == "middle" else len(text)
    head, tail = text[:cut], text[cut:].lstrip()
    return "\n\n".join(part for part in (head, injection.text, tail) if part)


def inject(text: str, identity: str, injections: Sequence[Injection]) -> tuple[str, str]:
    """Plant one injection in a text. Which and where follow from the hash of `identity` alone.

    Args:
        text: of a response.
        identity: of the response.
        injections: as loaded; at least one.

    Returns:
        The text, and the id of what was planted.
    """
    injection = injections[int(unit_interval(identity, "injection") * len(injections))]
    place = PLACES[int(unit_interval(identity, "place of the injection") * len(PLACES))]
    return placed(text, injection, place), injection.id
