"""The judge interface: a batch of texts and checklist items in, answers and probabilities of yes out.

A judge sees texts and nothing else: no ids, ratings or decisions. So what it says is a function of
content, and can be kept by content (scoring/cache.py). Adding a judge is adding a file with a class
of this shape, its settings to core.config.signals, and a line to scoring/backends.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal, Protocol

from winnow.core.ids import canonical_json
from winnow.scoring.checklist import Item

Answer = Literal["yes", "no"] | None
ParseStatus = Literal["ok", "partial", "failed"]
Variant = Literal["", "retest", "retest2", "reordered"]


@dataclass(frozen=True)
class Identity:
    """Everything but text and checklist that a verdict depends on.

    Attributes:
        model: name of the model, or of the rules.
        revision: the exact version of it.
        prompt_sha: hash of the prompt, or of the rules, and of the parser of answers, so that mending
            the parser takes effect.
        mode: how questions are put ("item", "batch", or "cues").
        seed: of the order of questions; None where nothing is drawn.
        variant: "" for judging, "retest" and "retest2" for judging once more, alike, "reordered" for judging
            with questions or answers in another order.
    """

    model: str
    revision: str
    prompt_sha: str
    mode: str
    seed: int | None
    variant: Variant = ""

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
        log_p: item id → natural logarithms of the probabilities of yes and of no, rounded to 6, from which p_yes
            follows; None for judges that have none.
        left_out: how much of the text's middle the judge was not shown, in its own units (tokens, or characters); 0
            where it saw it whole.
    """

    answers: dict[str, Answer]
    p_yes: dict[str, float | None]
    raw: str | None
    parse_status: ParseStatus
    log_p: dict[str, tuple[float, float]] | None = None
    left_out: int = 0


def parse_status(answers: Mapping[str, Answer]) -> ParseStatus:
    """Return how many of the items were answered, in one word."""
    answered = sum(answer is not None for answer in answers.values())
    return "failed" if answered == 0 else "ok" if answered == len(answers) else "partial"


class Judge(Protocol):
    """Judges texts by a checklist.

    Attributes:
        chunk_texts: how many texts it wants at once; they are kept together, and lost together by a kill.
    """

    chunk_texts: int

    @property
    def identity(self) -> Identity:
        """What stands for this judge in keys and rows."""
        ...

    def judge(self, texts: Sequence[str], items: Sequence[Item]) -> list[Judgement]:
        """Return one judgement per text, in their order, with an entry for every item."""
        ...
