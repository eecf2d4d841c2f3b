"""Subsets of a training table: nested, the same in every run, and counted."""

import itertools
from pathlib import Path

import pytest

from training import fixtures
from winnow.core.errors import WinnowError
from winnow.core.tables import RENDERED_SFT, read_rows, write_table
from winnow.training.data import first_rows, load_rows


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fixtures.write_rows(tmp_path_factory.mktemp("rows"), "sft", train=40)[0]


def ids(table: Path, count: int | None) -> list[str]:
    names = [row["response_id"] for row in read_rows(table)]
    return [names[index] for index in first_rows(table, "sft", count)]


def test_a_smaller_subset_is_a_part_of_every_larger_one(table: Path) -> None:
    subsets = [ids(table, count) for count in (1, 5, 12, 39, 40)]
    assert [len(subset) for subset in subsets] == [1, 5, 12, 39, 40]
    for small, large in itertools.pairwise(subsets):
        assert set(small) < set(large)
    assert subsets[2] == sorted(subsets[2])  # in the order of the table
    assert subsets[2] != ids(table, None)[:12]  # but not its first rows
    assert ids(table, None) == subsets[-1]


def test_a_subset_follows_from_ids_alone(table: Path, tmp_path: Path) -> None:
    """Other texts, and rows that are gone, move no row that stays."""
    chosen = ids(table, 12)
    rows = [row | {"completion": None} for row in read_rows(table) if row["response_id"] in {*chosen, "train001"}]
    write_table(tmp_path / "train.parquet", rows, RENDERED_SFT, ["response_id"])
    assert ids(tmp_path / "train.parquet", 12) == chosen


def test_more_rows_than_there_are_is_an_error(table: Path) -> None:
    with pytest.raises(WinnowError, match=r"recipe key train_rows: is 41, .*train.parquet has 40 rows"):
        first_rows(table, "sft", 41)


def test_the_chosen_rows_are_loaded(table: Path, tmp_path: Path) -> None:
    whole = load_rows(table, "sft", tmp_path, images=False)
    chosen = first_rows(table, "sft", 3)
    found = load_rows(table, "sft", tmp_path, chosen, images=False)
    assert [row["prompt"] for row in found] == [whole[index]["prompt"] for index in chosen]
