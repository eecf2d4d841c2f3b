"""Verdicts: which label a response names by its first word, and whether that is its prompt's."""

import re
from collections.abc import Mapping
from typing import Literal

AGREES = "agrees_with_label"  # the one item by which responses to labelled prompts are scored

# The first word behind marks such as ** or quotes. What a further word hangs on is another word: "No-one", "Yes/No".
_FIRST_WORD = re.compile(r"[\W_]*([^\W_]+)(?!['’/|-]?[^\W_])")


def read_verdict(text: str, answers: Mapping[str, str]) -> str | None:
    """Return the label whose word a response begins with, whatever the case; None where it begins with no such word.

    Args:
        text: the response.
        answers: label → the one word for it.
    """
    found = _FIRST_WORD.match(text)
    if found is None:
        return None
    return {word.casefold(): label for label, word in answers.items()}.get(found[1].casefold())


def agreement(text: str, label: str | None, answers: Mapping[str, str]) -> Literal["yes", "no"] | None:
    """Say whether a response names its prompt's label: yes, no, or None where either is unknown."""
    verdict = read_verdict(text, answers)
    if verdict is None or label not in answers:
        return None
    return "yes" if verdict == label else "no"
