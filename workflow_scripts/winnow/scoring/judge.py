"""The judge interface: a batch of texts and checklist items in, answers and probabilities of yes out.

A judge sees texts and nothing else: no ids, ratings or decisions. So what it says is a function of
content, and can be kept by content (scoring/cache.py). Adding a judge is adding a file with a class
of this shape, its settings to core.config, and a line to scoring/backends.py.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal, Protocol

from winnow.core.ids import canonical_json
from winnow.scoring.checklist import Item

Answer = Literal["yes", "no"] | None
ParseStatus = Literal["ok", "partial", "failed"]


@dataclass(frozen=True)
class Identity:
    """Everything but text and checklist that a verdict depends on.

    Attributes:
        model: name of the model, or of the rules.
        revision: the exact version of it.
        prompt_sha: hash of the prompt, or of the rules, and of the parser of answers, so that mending
            the parser takes effect.
        mode: how questions are put ("item", "batch", or "cues").
        seed: of sampling; None where nothing is drawn.
    """

    model: str
    revision: str
    prompt_sha: str
    mode: str
    seed: int | None

    @cached_property
    def key(self) -> str:
        """All of it as one text."""
        return canonical_json(asdict(self))


@dataclass(frozen=True)
class Judgement:
    """What a judge says about one text.

    Attributes:
        answers: item id → yes, no, or None where there is no answer. None is never counted as no.
        p_yes: item id → probability of yes in [0, 1], rounded to 6; None with the answer, or where the
            judge gives none.
        raw: what the judge said where that is more than the answers, or why it gave none.
        parse_status: ok: all items answered; partial: some; failed: none.
    """

    answers: dict[str, Answer]
    p_yes: dict[str, float | None]
    raw: str | None
    parse_status: ParseStatus


class Judge(Protocol):
    """Judges texts by a checklist."""

    @property
    def identity(self) -> Identity:
        """What stands for this judge in keys and rows."""
        ...

    def judge(self, texts: Sequence[str], items: Sequence[Item]) -> list[Judgement]:
        """Return one judgement per text, in their order, with an entry for every item."""
        ...
