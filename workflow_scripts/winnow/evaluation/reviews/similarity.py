"""Likeness to human reviews of the same paper, and the control against another paper's."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from winnow.core.ids import unit_interval


def _tokens(text: str) -> list[str]:
    from rouge_score.tokenize import tokenize  # noqa: PLC0415 - the report environment has it, others need not

    return list(tokenize(text, None))


def _common(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """Return the length of the longest common subsequence, in time that is nearly linear.

    rouge-score fills a table in Python: 23 ms for two reviews, and every review is compared with a dozen. Here a column
    of that table is one integer, whose bits say where it does not grow.

    Source: Hyyrö 2004, "Bit-Parallel LCS-length Computation Revisited", figure 4.
    """
    places: dict[str, int] = defaultdict(int)
    for place, word in enumerate(ours):
        places[word] |= 1 << place
    full = (1 << len(ours)) - 1
    column = full
    for word in theirs:
        matched = column & places.get(word, 0)
        column = ((column + matched) | (column - matched)) & full
    return len(ours) - column.bit_count()


def rouge_l(text: str, references: Sequence[str]) -> list[float]:
    """Return the F1 of ROUGE-L of a text with each reference: the longest common subsequence of words.

    Words are rouge-score's (lower case, a to z and digits), and so are the numbers, as a test shows. There is no
    stemming: the Porter stemmer is made for English alone, and what it changes is small.

    Source: Lin 2004, section 3.1, with equal weight of precision and recall.

    Returns:
        From 0 to 1; an empty text has 0.
    """
    ours = _tokens(text)
    return [
        2 * _common(ours, theirs) / (len(ours) + len(theirs)) if ours and theirs else 0.0
        for theirs in map(_tokens, references)
    ]


def other_papers(prompts: Collection[str]) -> dict[str, str]:
    """Return for each paper another one, whose reviews serve as control; none for a paper that is alone.

    Papers stand in a circle in the order of a hash of their ids, and each is given the next one.
    """
    circle = sorted(prompts, key=lambda prompt: (unit_interval(prompt, "shuffled"), prompt))
    if len(circle) < 2:
        return {}
    return dict(zip(circle, [*circle[1:], circle[0]], strict=True))
