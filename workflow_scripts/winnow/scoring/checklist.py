"""Checklists: yes/no items about what a response does, read from YAML or from an optimal_checklist.json."""

import json
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from winnow.core.config.base import Positive, Settings
from winnow.core.errors import WinnowError
from winnow.core.ids import content_key
from winnow.core.study import parse, read_yaml

MIN_ITEMS = 8  # with fewer, "two checkmarks apart" is too large a part of the scale (docs/methods.md, Checkmarks)

Aspect = Literal["EMP", "SUB", "NOV", "CLA", "CMP", "IMP", "PNF", "REC", "APR"]

# What the search for a good checklist writes beside an item about how it was chosen; a judge does not see it.
_STATISTICS = ("cluster_id", "weight", "order", "stats")


class Item(Settings):
    """One question about a response, with what each kind of judge needs to answer it."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    category: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    text: Annotated[str, Field(min_length=10)] = Field(description="a question that yes or no answers")
    source: str = Field("", description="the public guideline idea behind it, in one line")
    cues: tuple[str, ...] = Field((), description="RE2 expressions whose hits speak for yes (lexical judge)")
    cues_against: tuple[str, ...] = Field((), description="RE2 expressions whose hits are taken off")
    min_hits: Positive = Field(1, description="hits from which the lexical judge says yes")
    aspect: Aspect | None = Field(None, description="the closest label in people's annotations")

    @model_validator(mode="after")
    def _is_usable(self) -> "Item":
        if not self.text.rstrip().endswith("?"):
            raise ValueError(f"{self.id}: text must be a question that ends with '?'")
        if self.cues_against and not self.cues:
            raise ValueError(f"{self.id}: cues_against without cues")
        for cue in (*self.cues, *self.cues_against):
            if (problem := _problem_of(cue)) is not None:
                raise ValueError(f"{self.id}: {problem}")
        return self

    @cached_property
    def judged_by(self) -> str:
        """A hash of all that can change a verdict; category, source and aspect cannot."""
        return content_key([self.id, self.text, *self.cues, "\0", *self.cues_against, "\0", str(self.min_hits)])


class Checklist(Settings):
    """The items that a corpus is judged by."""

    version: Positive
    questions: tuple[Item, ...]

    @model_validator(mode="after")
    def _is_usable(self) -> "Checklist":
        ids = [item.id for item in self.questions]
        if twins := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"ids occur twice: {', '.join(twins)}")
        if len(ids) < MIN_ITEMS:
            raise ValueError(f"{len(ids)} questions are too few: at least {MIN_ITEMS}")
        return self

    @cached_property
    def sha256(self) -> str:
        """A hash of what can change a verdict, whatever the order of the items and the rest of the file."""
        return content_key(sorted(item.judged_by for item in self.questions))


@cache
def _problem_of(expression: str) -> str | None:
    """Return why the lexical judge's engine cannot use an expression, or None. Kept, for compiling takes long."""
    try:
        hits = pc.count_substring_regex(pa.array([""]), expression, ignore_case=True)[0].as_py()
    except pa.ArrowInvalid as error:
        return f"{expression!r} is not a valid RE2 expression: {error}"
    return f"{expression!r} matches empty text, and so everywhere" if hits else None


def load_checklist(path: Path) -> Checklist:
    """Read and check a checklist.

    Args:
        path: a YAML file as in resources/checklists, or an optimal_checklist.json. Of the latter only
            version and questions are read; how they were chosen stands there for people.

    Raises:
        WinnowError: naming file, item and mistake.
    """
    content = _optimal(path) if path.suffix == ".json" else read_yaml(path)
    _name_items(content, path)
    return parse(Checklist, content, path)


def _optimal(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        questions = [{k: v for k, v in item.items() if k not in _STATISTICS} for item in content["questions"]]
        return {"version": content["version"], "questions": questions}
    except FileNotFoundError:
        raise WinnowError(path, "there is no such file", "check signal.checklist") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WinnowError(path, f"is not a checklist: {error!r}", "it needs version and questions") from error


def _name_items(content: dict[str, Any], path: Path) -> None:
    """Check items one by one where that is possible, so that an error names the item and not its number."""
    questions = content.get("questions")
    for number, item in enumerate(questions if isinstance(questions, list) else [], 1):
        name = item.get("id", number) if isinstance(item, dict) else number
        parse(Item, item, f"{path}, item {name}")
