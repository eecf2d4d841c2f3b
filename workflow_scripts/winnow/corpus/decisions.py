"""Decisions of any year in four words. What is not understood is null and noted, never a default."""

import re
from typing import Literal

Decision = Literal["accept", "reject", "workshop", "withdrawn"]

# Whole texts, after the prefix "Decision:###" is gone. "N/A" stands for withdrawn or desk-rejected papers.
_PATTERNS: tuple[tuple[Decision, re.Pattern[str]], ...] = (
    ("accept", re.compile(r"accept(ed)?( \((oral|spotlight|poster|talk)\)|: .+)?", re.IGNORECASE)),
    ("reject", re.compile(r"reject(ed)?", re.IGNORECASE)),
    ("workshop", re.compile(r"invite(d)? to workshop track", re.IGNORECASE)),
    ("withdrawn", re.compile(r"withdrawn?|desk[ -]?reject(ed)?|n/a", re.IGNORECASE)),
)


def read_decision(text: str | None) -> tuple[Decision | None, str | None]:
    """Return the decision, or None with a note that says why there is none."""
    if text is None or not text.strip():
        return None, "decision absent"
    stated = text.removeprefix("Decision:###").strip()
    for decision, pattern in _PATTERNS:
        if pattern.fullmatch(stated):
            return decision, None
    return None, f"decision not understood: {stated[:40]}"
