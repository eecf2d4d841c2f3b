"""Why choosing kept so few: what each rule removed, in words, and which key to change."""

from collections import Counter
from collections.abc import Mapping

from winnow.core.errors import WinnowError


def described(read: int, dropped: Mapping[str, int], what: str) -> str:
    """Return the funnel as one sentence, the largest loss first."""
    losses = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
    return f"of {read:,} {what}, " + (
        ", ".join(f"{reason} removed {count:,}" for reason, count in losses) or "none fell"
    )


def refuse_empty(where: str, read: int, dropped: Counter[str], what: str, keys: Mapping[str, str]) -> WinnowError:
    """Return the error for a dataset without rows.

    Args:
        where: the dataset.
        read: candidates before any rule.
        dropped: candidates that each rule removed.
        what: what a candidate is, in the plural.
        keys: reason → what to change so that it removes less.
    """
    largest = min(dropped, key=lambda reason: (-dropped[reason], reason), default="")
    fix = keys.get(largest, "give the corpus more prompts with several rated responses")
    return WinnowError(where, f"nothing is left to train on: {described(read, dropped, what)}", fix)
