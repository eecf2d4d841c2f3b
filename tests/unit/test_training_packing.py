"""How many rows packing makes, against TRL's own packing."""

from pathlib import Path

import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from trl import pack_dataset
from trl.data_utils import _pack_bfd

from winnow.training.packing import TOGETHER, packed_rows


@pytest.mark.parametrize(
    ("lengths", "rows"),
    [
        ([], 0),
        ([10], 1),
        ([5, 5, 5], 2),
        ([6, 6, 4, 4], 2),  # 6 + 4 twice
        ([7, 6, 3, 2, 2], 2),  # 3 goes beside 7, where it fits best, and leaves 4 beside 6 for 2 + 2
        ([10, 9, 1], 2),
    ],
)
def test_packed_rows_by_hand(lengths: list[int], rows: int) -> None:
    assert packed_rows(lengths, 10) == rows


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60))
def test_packed_rows_are_as_many_as_trl_makes(lengths: list[int]) -> None:
    table = pa.table({"input_ids": [[0] * length for length in lengths]})
    assert packed_rows(lengths, 30) == len(_pack_bfd(table, 30))


def test_documents_are_packed_a_thousand_at_a_time(tmp_path: Path) -> None:
    """As TRL's map hands them over: the last row of a thousand is not filled up with the next."""
    lengths = [1] * (TOGETHER + 1) + [3]
    packed = pack_dataset(Dataset.from_dict({"input_ids": [[0] * length for length in lengths]}), 7)
    assert packed_rows(lengths, 7) == len(packed) == 144
    assert packed_rows(lengths[:-1], 7) == 143 + 1
