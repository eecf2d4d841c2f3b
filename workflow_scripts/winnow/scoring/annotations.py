"""People's labels of reviews: Peer-Review-Analyze, where each sentence carries hand-typed tags.

A sentence is followed by `[[section-polarity, ...], [aspect-polarity, ...]]`. People typed these, so
brackets are missing or doubled, cases are mixed, and codes are misspelt. Nothing is guessed: what is no known
code is counted.

Source: Ghosal, Kumar, Bharti and Ekbal 2022, "Peer review analyze".
"""

import gzip
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from winnow.core.errors import WinnowError
from winnow.scoring.checklist import Aspect

ASPECTS = frozenset(get_args(Aspect))
# Parts of a paper, and codes that the annotators' guide does not explain; neither says anything about an aspect.
_SECTIONS = frozenset(
    ["ABS", "ANA", "BIB", "DAT", "EXP", "EXT", "FWK", "INT", "MET", "OAL", "PDI", "RES", "RWK", "TNF"]
)
_OTHER = frozenset(["APC", "CNT", "CRT", "DFT", "DIS", "DSN", "QUN", "SMY", "SUG"])

# What stands between two brackets of which one may be missing: [..], ]..] or [..[, but never the prose between ]..[
_GROUP = re.compile(r"(?:\[|(?<=\]))([^\[\]]+)\]|\[([^\[\]]+)")
_CODE = re.compile(r"([A-Za-z]{3,4})(?:\s*[-_ ]\s*(POS|NEG|NEU|NULL))?", re.IGNORECASE)


@dataclass
class Annotations:
    """What people marked.

    Attributes:
        aspects: review_id → aspects that at least one sentence is marked with, with any polarity.
        tags: how many tags were aspects, sections, other codes, null, and unreadable.
        unreadable: the unreadable ones that stand inside a tag, with how often each occurs.
        without_tags: reviews with no tag at all; they say nothing and are left out of `aspects`.
    """

    aspects: dict[str, frozenset[str]] = field(default_factory=dict)
    tags: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    without_tags: int = 0


def classify(tag: str) -> tuple[str, str | None]:
    """Return what kind of tag a text is (aspect, section, other, null, unreadable), and the aspect's code."""
    tag = tag.strip().strip(".\"'")
    if tag.lower() == "null":
        return "null", None
    match = _CODE.fullmatch(tag)
    code = match[1].upper() if match else ""
    if code in ASPECTS:
        return "aspect", code
    if code in _SECTIONS:
        return "section", None
    return ("other" if code in _OTHER else "unreadable"), None


def read_tags(text: str) -> list[tuple[str, str | None, str]]:
    """Return kind, aspect and wording of every tag of an annotated review.

    Brackets of the review's own, such as citations, have no known code inside and are passed over. A
    bracket that has one is a tag, however its neighbours are written.
    """
    found: list[tuple[str, str | None, str]] = []
    for match in _GROUP.finditer(text):
        tags = [(*classify(tag), tag.strip()) for tag in re.split(r"[,;]", match[1] or match[2])]
        if any(kind != "unreadable" for kind, _, _ in tags):
            found.extend(tag for tag in tags if tag[2])
    return found


def read_annotations(path: Path) -> Annotations:
    """Read a file of annotated reviews (.jsonl or .jsonl.gz with review_id and annotated_text).

    Raises:
        WinnowError: naming file and line of a record that cannot be read.
    """
    result = Annotations()
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                _add(result, line, f"{path}, line {number}")
    except (OSError, EOFError) as error:
        raise WinnowError(
            path, f"cannot be read: {error}", "check signal.annotations, or fetch the file again"
        ) from error
    return result


def _add(result: Annotations, line: str, place: str) -> None:
    try:
        record = json.loads(line)
        identity, tags = record["review_id"], read_tags(record["annotated_text"])
    except (ValueError, KeyError, TypeError) as error:
        problem = f"is not an annotated review ({error!r})"
        raise WinnowError(place, problem, "it needs review_id and annotated_text") from error
    if identity in result.aspects:
        raise WinnowError(place, f"review {identity} occurs a second time", "keep one")
    result.tags.update(kind for kind, _, _ in tags)
    result.unreadable.update(wording for kind, _, wording in tags if kind == "unreadable")
    if tags:
        result.aspects[identity] = frozenset(aspect for _, aspect, _ in tags if aspect is not None)
    else:
        result.without_tags += 1
