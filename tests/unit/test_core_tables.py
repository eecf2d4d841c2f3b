"""Tables: equal rows give equal bytes, in any order; ids are unique; nothing half-written stays."""

import errno
import random
import resource

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.core import tables
from winnow.core.errors import WinnowError
from winnow.core.files import replacing, write_json, write_text
from winnow.core.tables import SPLITS, count_rows, read_rows, write_table


def rows(count):
    return [
        {"prompt_id": f"p{number:05}", "split": "train", "optimize": number % 3 == 0, "group_id": None}
        for number in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, tables.BATCH_ROWS, 2 * tables.BATCH_ROWS + 7])
def test_row_order_does_not_reach_the_bytes(tmp_path, count):
    expected = rows(count)
    shuffled = random.Random(1).sample(expected, count)
    assert write_table(tmp_path / "a.parquet", iter(expected), SPLITS, ["prompt_id"]) == count
    write_table(tmp_path / "b.parquet", iter(shuffled), SPLITS, ["prompt_id"])
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert list(read_rows(tmp_path / "b.parquet")) == expected
    assert count_rows(tmp_path / "b.parquet") == count
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]


def test_row_groups_do_not_depend_on_the_batches_that_came(tmp_path):
    write_table(tmp_path / "a.parquet", rows(5_000), SPLITS, ["prompt_id"])
    metadata = pq.read_metadata(tmp_path / "a.parquet")
    sizes = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
    assert sizes == [2_000, 2_000, 1_000]


def test_a_repeated_id_is_named(tmp_path):
    with pytest.raises(WinnowError, match=r"2 rows have the same key prompt_id=p00003"):
        write_table(tmp_path / "a.parquet", [*rows(5), rows(5)[3]], SPLITS, ["prompt_id"])
    assert list(tmp_path.iterdir()) == []


def test_a_row_with_a_wrong_column_is_a_defect(tmp_path):
    with pytest.raises(ValueError, match="row has columns"):
        write_table(tmp_path / "a.parquet", [{"prompt_id": "p"}], SPLITS, ["prompt_id"])


@given(st.lists(st.text(), unique=True, max_size=30))
def test_any_text_can_be_an_id(tmp_path_factory, ids):
    path = tmp_path_factory.mktemp("ids") / "a.parquet"
    ids = [text.encode("utf-8", "replace").decode() for text in ids]
    ids = list(dict.fromkeys(ids))
    table = [{"prompt_id": text, "split": "train", "optimize": False, "group_id": text} for text in ids]
    write_table(path, table, SPLITS, ["prompt_id"])
    assert [row["prompt_id"] for row in read_rows(path)] == sorted(ids, key=lambda text: text.encode())


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.txt") as part:
        part.write_text("half")
        raise RuntimeError
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_in_mid_write_leaves_nothing(tmp_path):
    """The file size limit stands for a full disk: the write fails in its middle."""
    write_table(tmp_path / "a.parquet", rows(10), SPLITS, ["prompt_id"])
    before = (tmp_path / "a.parquet").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
    try:
        with pytest.raises(OSError) as caught:
            write_table(tmp_path / "a.parquet", rows(50_000), SPLITS, ["prompt_id"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno in {errno.EFBIG, errno.ENOSPC, None}
    assert (tmp_path / "a.parquet").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_json_refuses_a_number_that_is_missing(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"rate": float("nan")})
    assert list(tmp_path.iterdir()) == []
