"""What adapters of labelled texts share: equal texts, contradicting labels, and the word that answers a text."""

import html
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from winnow.core.config.corpora import Answers, LabelledCorpus
from winnow.corpus import cleaning
from winnow.corpus.duplicates import text_key
from winnow.corpus.reasons import Reasons, read_reasons
from winnow.corpus.records import Origin, Prompt, Rejected, Response

Label = Literal["sarcastic", "not_sarcastic"]
LABELS: tuple[Label, ...] = get_args(Label)

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


def responses(read: Read, spec: LabelledCorpus) -> Iterator[Response]:
    """Yield the word for each text's label as the response to it; the label is a person's.

    With reasons each text has two responses instead: the word for either label, and a reason for it behind it. Both
    are of one template, which the text's id chooses.
    """
    if spec.reasons is not None:
        yield from _reasoned(read, spec.answers, read_reasons(Path(spec.reasons)))
        return
    for record in read():
        yield Response(
            f"{record.identity}-verdict",
            record.origin,
            prompt_id=record.identity,
            text=getattr(spec.answers, record.label),
            author_kind="human",
        )


def _reasoned(read: Read, answers: Answers, reasons: Reasons) -> Iterator[Response]:
    for record in read():
        template = reasons.of(record.identity)
        for label in LABELS:
            yield Response(
                f"{record.identity}-{label}",
                record.origin._replace(source=f"reasons/{template.id}"),
                prompt_id=record.identity,
                text=f"{getattr(answers, label)}. {getattr(template, label)}",
                author_kind="template",
            )


def files(spec: LabelledCorpus, raw: Mapping[str, Path]) -> Mapping[str, Path]:
    """Return all that a labelled corpus is read from: its raw files, and the reasons if it has any."""
    return {**raw, **({} if spec.reasons is None else {"reasons": Path(spec.reasons)})}
