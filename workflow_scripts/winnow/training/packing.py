"""Several whole rows in one: how many rows that makes, and the proof that none was cut, lost or doubled."""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from winnow.core.errors import WinnowError

TOGETHER = 1000  # documents that TRL packs at a time: the batches of datasets' map (trl/data_utils.py)
_DEFECT = "this is a defect of Winnow or TRL, please report it"


def packed_rows(lengths: Sequence[int], capacity: int) -> int:
    """Return how many rows TRL packs documents into: best fit decreasing, a thousand at a time.

    Args:
        lengths: tokens of each document, in the order of the table.
        capacity: tokens that a row may have; no document is longer.
    """
    rows = 0
    for start in range(0, len(lengths), TOGETHER):
        spaces: list[int] = []  # of rows with room left, ascending
        for length in sorted(lengths[start : start + TOGETHER], reverse=True):
            index = bisect_left(spaces, length)
            rows += index == len(spaces)
            space = spaces.pop(index) if index < len(spaces) else capacity
            insort(spaces, space - length)
    return rows


def trained_tokens(ids: Sequence[int], labels: Sequence[int]) -> tuple[int, int]:
    """Return the tokens of a document, and how many of them TRL trains."""
    return len(ids), sum(label != -100 for label in labels)


def check_packed(prepared: Any, wanted: Sequence[tuple[int, int]], capacity: int, file: Path) -> None:
    """Check that packed rows hold every document once and whole.

    Packing orders documents by length, so they are compared as a collection, not one by one.

    Args:
        prepared: the trainer's dataset.
        wanted: `trained_tokens` that each row of the table must have, in their order.
        capacity: tokens that a packed row may have.
        file: names the rows in an error.

    Raises:
        WinnowError: naming what is missing or too much.
    """
    found: Counter[tuple[int, int]] = Counter()
    for row in prepared:
        start = 0
        for length in row["seq_lengths"]:
            end = start + length
            found[trained_tokens(row["input_ids"][start:end], row["labels"][start:end])] += 1
            start = end
        if start != len(row["input_ids"]) or start > capacity:
            raise WinnowError(file, f"TRL packed a row of {len(row['input_ids'])} tokens from {start}", _DEFECT)
    expected = Counter(wanted)
    if found != expected:
        (tokens, trained), _ = next(iter((expected - found or found - expected).items()))
        problem = f"packed rows are not its {len(wanted)} rows, first seen at one of {tokens} tokens, {trained} trained"
        raise WinnowError(file, problem, _DEFECT)
    if len(prepared) != packed_rows([tokens for tokens, _ in wanted], capacity):
        raise WinnowError(file, f"TRL packed it into {len(prepared)} rows, not as many as the steps are for", _DEFECT)
