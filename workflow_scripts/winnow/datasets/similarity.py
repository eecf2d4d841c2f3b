"""Edit similarity without rapidfuzz, which the train environment lacks: exact, and a second opinion on the first."""

from collections import Counter
from math import inf

GRAM = 3


def edit_distance(one: str, other: str, most: float = inf) -> int:
    """Return the Levenshtein distance of two texts, in characters.

    Source: Myers 1999 in the form of Hyyrö 2003, figure 4, with Python's integers as the bit vectors.

    Args:
        one: a text.
        other: another.
        most: as soon as the distance is sure to be above it, some number above it is returned instead.
    """
    if not one or not other:
        return max(len(one), len(other))
    places: dict[str, int] = {}
    for index, character in enumerate(one):
        places[character] = places.get(character, 0) | 1 << index
    mask, last = (1 << len(one)) - 1, 1 << (len(one) - 1)
    positive, negative, distance = mask, 0, len(one)
    for remaining, character in zip(range(len(other) - 1, -1, -1), other, strict=True):
        match = places.get(character, 0)
        diagonal = (((match & positive) + positive) ^ positive) | match | negative
        up = negative | ~(diagonal | positive) & mask
        down = positive & diagonal
        distance += bool(up & last) - bool(down & last)
        if distance - remaining > most:  # each character that is left can bring it down by one at most
            return distance - remaining
        up = up << 1 | 1
        positive = (down << 1 | ~(diagonal | up)) & mask
        negative = up & diagonal & mask
    return distance


def edit_similarity(one: str, other: str) -> float:
    """Return 1 - distance / max(length); 1 for two empty texts."""
    longest = max(len(one), len(other))
    return 1 - edit_distance(one, other) / longest if longest else 1.0


def grams(text: str) -> Counter[str]:
    """Return how often each run of three characters occurs."""
    return Counter(text[index : index + GRAM] for index in range(len(text) - GRAM + 1))


def is_below(one: str, other: str, limit: float) -> bool:
    """Say whether the edit similarity of two texts is below `limit`, exactly, and mostly without computing it.

    One edit destroys at most three runs of three characters, so texts with fewer runs in common than
    that allows must be further apart.

    Source: Ukkonen 1992, the q-gram lemma.
    """
    longest = max(len(one), len(other))
    if not longest:
        return limit > 1
    allowed = (1 - limit) * longest  # a distance above it means a similarity below the limit
    if abs(len(one) - len(other)) > allowed:
        return True
    if (grams(one) & grams(other)).total() < longest - GRAM + 1 - GRAM * allowed - GRAM:
        return True
    return 1 - edit_distance(one, other, allowed + 1) / longest < limit
