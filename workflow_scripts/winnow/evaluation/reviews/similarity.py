"""Likeness to human reviews of the same paper, and the control against another paper's."""

import functools
from collections.abc import Collection, Sequence
from typing import Any

from winnow.core.ids import unit_interval


@functools.cache
def _scorer() -> Any:
    # Two seconds: it brings nltk.
    from rouge_score.rouge_scorer import RougeScorer  # noqa: PLC0415

    return RougeScorer(["rougeL"], use_stemmer=False)


def rouge_l(text: str, references: Sequence[str]) -> list[float]:
    """Return the F1 of ROUGE-L of a text with each reference: the longest common subsequence of words.

    Words are as rouge-score makes them (lower case, a to z and digits). There is no stemming: its Porter stemmer is
    for English alone and changes a score by some hundredths, and the published numbers of review generators are not
    agreed on it either. An empty text has 0.

    Source: Lin 2004, section 3.1; computed by rouge-score.
    """
    return [float(_scorer().score(reference, text)["rougeL"].fmeasure) for reference in references]


def other_papers(prompts: Collection[str]) -> dict[str, str]:
    """Return for each paper another one, whose reviews serve as control; none for a paper that is alone.

    Papers stand in a circle in the order of a hash of their ids, and each is given the next one.
    """
    circle = sorted(prompts, key=lambda prompt: (unit_interval(prompt, "shuffled"), prompt))
    if len(circle) < 2:
        return {}
    return dict(zip(circle, [*circle[1:], circle[0]], strict=True))
