"""Texts that are nearly the same: MinHash proposes, the Jaccard similarity of word runs decides."""

import hashlib
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

SHINGLE_WORDS = 3
MIN_SHINGLES = 16  # shorter texts ("Yes.") are alike by nature
JACCARD = 0.85

# 24 bands of 7 hashes: texts with Jaccard 0.85 are proposed with probability 1 - (1 - 0.85^7)^24 = 0.9999, those with
# 0.4 with 0.04: in a large dataset those are so many that comparing them would take longer than all else.
_BANDS, _ROWS = 24, 7
_WORD = re.compile(r"[^\W_]+")

Hashes = npt.NDArray[np.uint64]

_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd; of the polynomial, modulo 2^64, that makes one number of a run of words

# Fixed numbers of a fixed generator: the same in every run and version.
_NUMBERS = np.frombuffer(hashlib.shake_256(b"winnow datasets").digest(16 * _BANDS * _ROWS), dtype="<u8")
_FACTORS: Hashes = _NUMBERS[: _BANDS * _ROWS, None].astype(np.uint64) | np.uint64(1)
_OFFSETS: Hashes = _NUMBERS[_BANDS * _ROWS :, None].astype(np.uint64)


@lru_cache(1 << 17)  # the words of a corpus are few, and most of them come again
def _code(word: str) -> int:
    """Return a number for a word."""
    return zlib.crc32(word.encode())


def shingles(text: str) -> Hashes:
    """Return hashes of every three successive words of a text, each once, ascending. Shape: [shingles]."""
    words = _WORD.findall(text.casefold())
    codes = np.fromiter(map(_code, words), dtype=np.uint64, count=len(words))
    runs = max(len(words) - SHINGLE_WORDS + 1, 0)
    hashes = np.zeros(runs, dtype=np.uint64)
    for place in range(SHINGLE_WORDS):
        hashes = hashes * _BASE + codes[place : place + runs]
    hashes.sort()
    return hashes[np.append(True, hashes[1:] != hashes[:-1])] if runs else hashes


def jaccard(one: Hashes, other: Hashes) -> float:
    """Return the share of shingles that two texts have in common, of all that they have."""
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)


def bands(hashes: Hashes) -> list[tuple[int, bytes]]:
    """Return a text's MinHash as one key for each band; texts that share a key are worth comparing.

    Source: Broder 1997, with multiply-add hashing modulo 2^64 as the permutations.
    """
    smallest = (hashes[None, :] * _FACTORS + _OFFSETS).min(axis=1).reshape(_BANDS, _ROWS)
    return [(band, row.tobytes()) for band, row in enumerate(smallest)]


def near_duplicates(
    few: Iterable[tuple[str, str]], many: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """Yield for each of `many` texts those of `few` that are nearly the same, with their similarity.

    Args:
        few: id and text; their hashes stay in memory.
        many: id and text, one at a time.
    """
    places: dict[tuple[int, bytes], list[str]] = defaultdict(list)
    known: dict[str, Hashes] = {}
    for name, text in few:
        hashes = shingles(text)
        if len(hashes) >= MIN_SHINGLES:
            known[name] = hashes
            for key in bands(hashes):
                places[key].append(name)
    for name, text in many:
        hashes = shingles(text)
        if len(hashes) < MIN_SHINGLES:
            yield name, []
            continue
        proposed = {other for key in bands(hashes) for other in places.get(key, ())}
        alike = ((other, jaccard(hashes, known[other])) for other in sorted(proposed))
        yield name, [(other, value) for other, value in alike if value >= JACCARD]
