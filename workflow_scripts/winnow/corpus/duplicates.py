"""Texts that are alike: normalised words, shingles, MinHash candidates, exact Jaccard, groups.

MinHash only proposes; whether two texts are alike is decided by the Jaccard similarity of their shingles.
Nothing depends on the order in which texts come.
"""

import hashlib
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SHINGLE_WORDS = 3
# Fewer words than these (a title, a short sum) say too little: such texts are alike only if they are equal.
MIN_WORDS = 18

# 24 bands of 6 hashes: texts with Jaccard 0.8 are proposed with probability 1 - (1 - 0.8^6)^24 = 0.9993, those with
# 0.3, as texts of one topic and one template may have, with 0.017 only, so that few are compared in vain.
BANDS, _ROWS = 24, 6
SIGNATURE = BANDS * _ROWS
# Within a larger bucket of proposals a text is compared with the first and the one before it only, so that
# time stays linear; chains of likeness still join.
_ALL_PAIRS_UP_TO = 24

_WORD = re.compile(r"[^\W_]+")

Hashes = npt.NDArray[np.uint64]
Signature = npt.NDArray[np.uint8]
IndexPairs = npt.NDArray[np.int64]


def _odd(name: str, count: int) -> Hashes:
    """Return fixed odd numbers, the same in every run and version: multiplying by them loses nothing."""
    packed = hashlib.shake_256(name.encode()).digest(8 * count)
    return np.frombuffer(packed, dtype="<u8").astype(np.uint64) | np.uint64(1)


_PLACES, _WEIGHTS = _odd("places in a shingle", SHINGLE_WORDS), _odd("rows of a band", _ROWS)
_FACTORS, _OFFSETS = _odd("factors", BANDS * _ROWS), _odd("offsets", BANDS * _ROWS)


class _Codes(dict[str, int]):
    """A number for each word: looked up where it is known, which most words of a corpus are."""

    _KEPT = 1 << 17

    def __missing__(self, word: str) -> int:
        """Return a word's number and remember it; memory stays bounded."""
        if len(self) >= self._KEPT:
            self.clear()
        code = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        self[word] = code
        return code


_CODES = _Codes()


def normalised(text: str) -> str:
    """Return the words of a text in lower case, one space between them: what is compared for equality."""
    return " ".join(_WORD.findall(text.casefold()))


def text_key(text: str) -> bytes:
    """Return a digest of a text's letters and digits in lower case, 16 bytes: "can't" and "CANT" have the same.

    A text without any, such as one emoji, is told by all that it has.
    """
    plain = "".join(filter(str.isalnum, text.casefold()))
    return hashlib.sha256((plain or text).encode("utf-8", "surrogatepass")).digest()[:16]


def shingles(normal: str) -> Hashes:
    """Return the distinct hashes of every three successive words of a normalised text, ascending. Shape: [shingles]."""
    words = normal.split()
    if len(words) < SHINGLE_WORDS:
        return np.empty(0, dtype=np.uint64)
    codes = np.fromiter(map(_CODES.__getitem__, words), dtype=np.uint64, count=len(words))
    triples: Hashes = codes[:-2] * _PLACES[0] + codes[1:-1] * _PLACES[1] + codes[2:] * _PLACES[2]
    triples.sort()
    distinct: Hashes = triples[np.append(True, triples[1:] != triples[:-1])]
    return distinct


def jaccard(one: Hashes, other: Hashes) -> float:
    """Return the share of shingles that two texts have in common, of all that they have."""
    if not len(one) and not len(other):
        return 0.0
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)


class Sketch(NamedTuple):
    """What of a text is kept in memory.

    Attributes:
        keys: one number per band; texts that share one are worth comparing. Shape: [bands].
        signature: the lowest byte of every smallest hash. Shape: [bands * rows].
    """

    keys: Hashes
    signature: Signature


def sketch(hashes: Hashes) -> Sketch:
    """Return the MinHash sketch of a text's shingles.

    Source: Broder 1997, with multiply-add hashing modulo 2^64 as the permutations; one byte of each as in
    Li and König 2010 (b-bit minwise hashing).
    """
    permuted = hashes[:, None] * _FACTORS
    permuted += _OFFSETS
    smallest = permuted.min(axis=0)
    rows = smallest.reshape(BANDS, _ROWS)
    # One number per band: a sum with odd weights, so that equal rows give equal keys and others hardly ever do.
    keys: Hashes = (rows * _WEIGHTS).sum(axis=1, dtype=np.uint64)
    # The lowest byte: being the smallest of many, all of them have the same highest bits.
    return Sketch(keys, (smallest & np.uint64(0xFF)).astype(np.uint8))


def may_be_alike(one: Signature, other: Signature, threshold: float) -> npt.NDArray[np.bool_]:
    """Say of pairs of signatures whether their texts may have a Jaccard similarity of `threshold`.

    Shapes: [pairs, hashes] each; the answer [pairs].

    The share of equal bytes estimates J + (1 - J) / 256 with a standard deviation of at most
    sqrt(J (1 - J) / 144), 0.033 at 0.8. A pair is given up where the estimate lies more than four of these below
    the threshold, which happens to one true pair in thirty thousand.
    """
    margin = 4 * math.sqrt(threshold * (1 - threshold) / SIGNATURE)
    estimate: npt.NDArray[np.float64] = (one == other).mean(axis=1)
    return estimate >= threshold - margin


def proposals(keys: Hashes) -> Iterator[IndexPairs]:
    """Yield index pairs of texts that share a band key, the smaller index first; pairs may recur.

    Args:
        keys: band keys of texts in a fixed order. Shape: [texts, bands].

    Yields:
        Arrays of pairs, at most one pair for each text in each. Shape: [pairs, 2].
    """
    for band in range(keys.shape[1] if len(keys) else 0):
        order = np.argsort(keys[:, band], kind="stable")
        column = keys[order, band]
        starts = np.flatnonzero(np.append(True, column[1:] != column[:-1]))
        sizes = np.diff(np.append(starts, len(column)))
        first, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)  # of the bucket that each place is in
        small = size <= _ALL_PAIRS_UP_TO
        for distance in range(1, _ALL_PAIRS_UP_TO):
            at = np.flatnonzero((first[distance:] == first[:-distance]) & small[distance:]) + distance
            yield np.column_stack((order[at - distance], order[at]))
        later = np.flatnonzero(~small & (first != np.arange(len(first))))
        yield np.column_stack((order[first[later]], order[later]))
        yield np.column_stack((order[later - 1], order[later]))


class Groups:
    """A partition of ids that grows by joining; a group is named by its smallest id."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def add(self, identity: str) -> None:
        """Put an id into a group of its own, if it is new."""
        self._parent.setdefault(identity, identity)

    def name(self, identity: str) -> str:
        """Return the smallest id of the group that an id is in."""
        root = identity
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[identity] != root:
            self._parent[identity], identity = root, self._parent[identity]
        return root

    def join(self, one: str, other: str) -> bool:
        """Put two ids, and all that is with them, into one group; return whether they were apart."""
        first, second = sorted((self.name(one), self.name(other)))
        self._parent[second] = first
        return first != second

    def are_apart(self, one: str, other: str) -> bool:
        """Return whether two ids are in different groups."""
        return self.name(one) != self.name(other)
