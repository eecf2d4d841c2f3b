"""What an adapter hands over: prompts, responses, and records that can become neither."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from winnow.core.config.corpora import AuthorKind

Kind = Literal["prompt", "response"]


class Origin(NamedTuple):
    """The raw record that something was made of."""

    path: str
    line: int  # line of a text file, row of a Parquet file
    source: str  # which crawl or model it comes from
    record_sha256: str

    @property
    def place(self) -> str:
        """Where to look, for errors."""
        return f"{self.path}, row {self.line}"


@dataclass(frozen=True)
class Prompt:
    """A prompt, read and cleaned; see core.tables.PROMPTS for the columns."""

    identity: str
    origin: Origin
    title: str | None
    abstract: str | None
    body: str | None
    decision: str | None = None
    ground_truth: str | None = None
    label: str | None = None
    year: int | None = None
    image_paths: tuple[str, ...] | None = None
    group: str | None = None
    notes: tuple[str, ...] = ()  # what the manifest counts: "title was struck through", ...


@dataclass(frozen=True)
class Response:
    """A response, read and cleaned; see core.tables.RESPONSES for the columns."""

    identity: str
    origin: Origin
    prompt_id: str
    text: str
    author_kind: AuthorKind
    rating: float | None = None
    rating_label: str | None = None
    rating_scale: tuple[float, ...] | None = None
    confidence: float | None = None
    confidence_label: str | None = None
    date: str | None = None
    year: int | None = None
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """A raw record that becomes no row."""

    identity: str
    origin: Origin
    kind: Kind
    reason: str  # one of few, so that it can be counted
    detail: str | None = None
    year: int | None = None


class Source(Protocol):
    """One adapter, ready to read."""

    duplicates_across_prompts: bool  # whether one text under two prompts is a fault (a review) or normal (an answer)

    @property
    def files(self) -> Mapping[str, Path]:
        """What it reads, by names that do not depend on where the files lie."""
        ...

    def prompts(self) -> Iterator[Prompt | Rejected]:
        """Yield every prompt, in any order."""
        ...

    def responses(self) -> Iterator[Response | Rejected]:
        """Yield every response, in any order."""
        ...
