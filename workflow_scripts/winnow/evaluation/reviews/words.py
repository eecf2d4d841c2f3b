"""What a word is, for every metric that counts words."""

import re

_WORD = re.compile(r"\w+(?:[.,'’-]\w+)*")


def words(text: str) -> list[str]:
    """Return the words of a text in lower case; marks inside a word belong to it ("3.2", "state-of-the-art")."""
    return _WORD.findall(text.casefold())


def length_ratio(count: int, others: list[int]) -> float | None:
    """Return a number of words divided by the mean number of words of other reviews; None where there are none.

    Args:
        count: words of a review.
        others: words of each of the paper's (other) human reviews.
    """
    total = sum(others)
    return count * len(others) / total if total else None
