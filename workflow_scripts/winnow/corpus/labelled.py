"""What adapters of labelled texts share: equal texts, contradicting labels, and the word that answers a text."""

import html
import re
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from winnow.core.config.corpora import Answers
from winnow.corpus import cleaning
from winnow.corpus.duplicates import text_key
from winnow.corpus.records import Origin, Prompt, Rejected, Response

Label = Literal["sarcastic", "not_sarcastic"]

# html.unescape alone would also take "&copy" in the middle of a link for a sign.
_ENTITY = re.compile(r"&(?:#\d+|#[xX][0-9a-fA-F]+|[a-zA-Z][a-zA-Z0-9]*);")


class Labelled(NamedTuple):
    """One text as it was read, with its label.

    Attributes:
        part: place of the part that it is in, from 0; of equal texts, that of the earliest part is kept.
        group: texts that name one group stay in one split.
        notes: what the manifest counts.
    """

    identity: str
    origin: Origin
    text: str
    label: Label
    part: int = 0
    group: str | None = None
    notes: tuple[str, ...] = ()


Read = Callable[[], Iterator[Labelled]]
_Carriers = dict[bytes, dict[Label, tuple[int, str]]]  # text key → label → part and id of the text that is kept


def clean(text: str | None) -> tuple[str, tuple[str, ...]]:
    """Return a text with HTML entities decoded and hidden characters gone, and notes on what was done."""
    decoded = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text or "")
    plain, flags = cleaning.normalise(decoded)
    return plain, (*(("html_entities",) if decoded != (text or "") else ()), *flags)


def prompts(read: Read) -> Iterator[Prompt | Rejected]:
    """Yield each text as a prompt, or why it is none; the texts are read twice and not held.

    Of texts with the same key and label one is kept, in the earliest part and there with the smallest id. Where a key
    carries both labels nobody knows which is true, and none is kept.

    Args:
        read: starts to read the texts anew each time.
    """
    carriers: _Carriers = {}
    for record in read():
        if record.text:
            kept = carriers.setdefault(text_key(record.text), {})
            place = (record.part, record.identity)
            kept[record.label] = min(kept.get(record.label, place), place)
    for record in read():
        yield _checked(record, carriers)


def _checked(record: Labelled, carriers: _Carriers) -> Prompt | Rejected:
    if record.text:
        kept = carriers[text_key(record.text)]
        others = [f"{identity} is {label}" for label, (_, identity) in kept.items() if label != record.label]
        if others:
            return Rejected(record.identity, record.origin, "prompt", "carries both labels", others[0])
        _, twin = kept[record.label]
        if twin != record.identity:
            return Rejected(record.identity, record.origin, "prompt", "duplicate text", f"same text as {twin}")
    return Prompt(
        record.identity,
        record.origin,
        title=None,
        abstract=None,
        body=record.text,
        label=record.label,
        group=record.group,
        notes=record.notes,
    )


def responses(read: Read, answers: Answers) -> Iterator[Response]:
    """Yield the word for each text's label as the response to it; the label is a person's."""
    words: dict[Label, str] = {"sarcastic": answers.sarcastic, "not_sarcastic": answers.not_sarcastic}
    for record in read():
        yield Response(
            f"{record.identity}-verdict",
            record.origin,
            prompt_id=record.identity,
            text=words[record.label],
            author_kind="human",
        )
