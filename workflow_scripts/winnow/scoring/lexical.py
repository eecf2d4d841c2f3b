"""The lexical judge: an item is met where its cues, written beside it in the checklist, occur often enough.

What it is: deterministic, explainable, thousands of reviews a second on one core; the default of the
demo and of tests, and a floor that a better judge has to beat.

What it is not: a reader. It sees words, not what is meant. "Nothing here is novel", "is it novel?" and
"novel" are the same to it: the item asks whether a review discusses a thing, and mostly they all do,
but a word in passing counts as a discussion. Negation, irony and quotation are lost on it. It knows
English alone. A longer text has more words and so more checkmarks. Whoever knows the cues can meet every item
with a list of words, so it must never be the reward of a training that can reach it.
docs/judging.md has its measured agreement with people, which is low.

The formula: with h the hits of `cues` less those of `cues_against` (at least 0) and m `min_hits`,

    p_yes = 1 - 2 ** (-h / m)        and the answer is yes where p_yes >= 0.5, so where h >= m.

p_yes orders texts by how much is said; it is not calibrated to any frequency.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from winnow.core.ids import content_key
from winnow.scoring import matching
from winnow.scoring.checklist import Item
from winnow.scoring.judge import Answer, Identity, Judgement, Variant
from winnow.scoring.matching import count_hits, normalised

MIN_WORDS = 10  # in Latin script; with fewer there is nothing to find cues in
MIN_ENGLISH = 0.05  # least share of common English words; in English prose they are about a third

_LATIN_WORD = r"\p{Latin}{2,}"
_OTHER_LETTER = r"[^\P{L}\p{Latin}\p{Greek}]"
_COMMON_WORD = r"\b(?:the|of|and|to|is|in|that|this|are|be|for|it|not|with|on)\b"


class Lexical:
    """Judges by counting cues. Same text and items, same answers, in whatever order."""

    chunk_texts = 2_000  # all expressions are compiled anew for each chunk

    def __init__(self, variant: Variant = "") -> None:
        """Make a judge; every variant judges alike, and is kept apart."""
        self._variant = variant

    @cached_property
    def identity(self) -> Identity:
        """The rules by the hash of their code: any edit of it rejudges, which is cheap here."""
        rules = [Path(file).read_text(encoding="utf-8") for file in (__file__, matching.__file__)]
        return Identity("lexical", f"arrow-{pa.__version__}", content_key(rules), "cues", None, self._variant)

    def judge(self, texts: Sequence[str], items: Sequence[Item]) -> list[Judgement]:
        """Return one judgement per text, in their order."""
        lines = normalised(texts)
        unreadable = _unreadable(lines)
        columns = {
            item.id: [_p_yes(*hits, item.min_hits) for hits in _hits(lines, item)] for item in items if item.cues
        }
        without_cues = [item.id for item in items if not item.cues]
        return [
            _judgement(reason, {name: column[row] for name, column in columns.items()}, without_cues)
            for row, reason in enumerate(unreadable)
        ]


def _hits(lines: pa.Array, item: Item) -> Iterator[tuple[int, int]]:
    return zip(count_hits(lines, item.cues), count_hits(lines, item.cues_against), strict=True)


def _p_yes(hits: int, hits_against: int, min_hits: int) -> float:
    return round(1 - 2 ** (-max(0, hits - hits_against) / min_hits), 6)


def _unreadable(lines: pa.Array) -> list[str | None]:
    """Say of each text why English cues cannot judge it, or None where they can."""
    counts = zip(
        count_hits(lines, [_LATIN_WORD]),
        count_hits(lines, [_OTHER_LETTER]),
        count_hits(lines, [_COMMON_WORD]),
        strict=True,
    )
    return [_reason(*numbers) for numbers in counts]


def _reason(latin_words: int, other_letters: int, common_words: int) -> str | None:
    if latin_words < MIN_WORDS:
        return f"fewer than {MIN_WORDS} words in Latin script"
    if other_letters > latin_words:
        return "mostly not in Latin script"
    if common_words < MIN_ENGLISH * latin_words:
        return "not English"
    return None


def _judgement(unreadable: str | None, p_yes: dict[str, float], without_cues: list[str]) -> Judgement:
    """Put one text's row together: nothing answered where it cannot be read, nothing for items without cues."""
    if unreadable is not None or not p_yes:
        unanswered: dict[str, None] = dict.fromkeys([*p_yes, *without_cues])
        reason = unreadable or "no item has cues"
        return Judgement(dict(unanswered), dict(unanswered), f"not judged: {reason}", "failed")
    answers: dict[str, Answer] = {name: "yes" if value >= 0.5 else "no" for name, value in p_yes.items()}
    answers.update(dict.fromkeys(without_cues))
    probabilities: dict[str, float | None] = {**p_yes, **dict.fromkeys(without_cues)}
    if not without_cues:
        return Judgement(answers, probabilities, None, "ok")
    return Judgement(answers, probabilities, f"items without cues: {', '.join(sorted(without_cues))}", "partial")
