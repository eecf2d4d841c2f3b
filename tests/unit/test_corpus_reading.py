"""Raw files of every kind, and the errors of files that are not what they should be."""

import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winnow.core.errors import WinnowError
from winnow.corpus.reading import read_records, require, text_of

ROWS = [{"prompt": "A\nB", "response": 'x, "y"'}, {"prompt": "é", "response": None}]


def written(path, rows):
    """Write rows as the file's ending says."""
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    if plain.suffix == ".jsonl":
        plain.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif plain.suffix == ".csv":
        with plain.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), plain)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(plain.read_bytes()))
    return path


@pytest.mark.parametrize("name", [f"a.{kind}{gz}" for kind in ("jsonl", "csv", "parquet") for gz in ("", ".gz")])
def test_every_kind_gives_the_same_rows(tmp_path, name):
    assert [row.values for row in read_records(written(tmp_path / name, ROWS))] == ROWS


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2}\n')
    assert [row.line for row in read_records(path)] == [1, 3]


def failure(path):
    with pytest.raises(WinnowError) as caught:
        list(read_records(path))
    return str(caught.value)


def test_missing_file_names_the_nearest(tmp_path):
    written(tmp_path / "reviews.jsonl.gz", ROWS)
    message = failure(tmp_path / "review.jsonl.gz")
    assert "review.jsonl.gz" in message
    assert "did you mean reviews.jsonl.gz?" in message


def test_missing_folder(tmp_path):
    assert "there is no such file" in failure(tmp_path / "absent" / "a.jsonl")


def test_unknown_kind(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[]")
    assert ".jsonl, .csv, .parquet" in failure(path)


def test_truncated_gzip_names_the_line_reached(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    whole = gzip.compress("".join(f'{{"number": "{n * n * 7919}"}}\n' for n in range(20_000)).encode())
    path.write_bytes(whole[: len(whole) // 2])
    message = failure(path)
    assert "a.jsonl.gz: is cut short or damaged after line " in message
    assert int(message.split("after line ")[1].split(":")[0]) > 1000


def test_damaged_gzip(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(b"not gzip at all")
    assert "is cut short or damaged after line 0" in failure(path)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ('{"a": 1', "is not valid JSON"),
        ('{"a": NaN}', "NaN is not JSON"),
        ("[1]", "holds a JSON list, not an object"),
        ('{"a": 1} {"a": 2}', "is not valid JSON"),
    ],
)
def test_bad_json_on_line_k(tmp_path, line, cause):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 0}\n' * 4 + line + "\n")
    message = failure(path)
    assert "a.jsonl, line 5: " in message
    assert cause in message
    assert "fix: " in message


def test_csv_with_a_short_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n3\n")
    assert "a.csv, line 3: has 1 cells, the first line names 2 columns" in failure(path)


def test_csv_with_a_column_twice(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,a\n1,2\n")
    assert "names a column twice" in failure(path)


def test_not_utf8(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "\xff"}\n')
    assert "is not UTF-8" in failure(path)


def test_not_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_text("no")
    assert "is not valid Parquet" in failure(path)


def test_pandas_nan_is_nothing(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"rating": [float("nan"), 3.0]}), path)
    assert [row.values["rating"] for row in read_records(path)] == [None, 3.0]


def test_missing_key_names_the_near_one(tmp_path):
    path = written(tmp_path / "a.jsonl", [{"promt": "x", "response": "y"}])
    row = next(iter(read_records(path)))
    with pytest.raises(WinnowError, match=r"a\.jsonl, row 1: has no key 'prompt'\n  fix: did you mean 'promt'\?"):
        require(row, "prompt", path)


def test_text_must_be_text(tmp_path):
    path = written(tmp_path / "a.jsonl", [{"prompt": ["x"]}])
    with pytest.raises(WinnowError, match="row 1: key 'prompt' holds list, not text"):
        text_of(next(iter(read_records(path))), "prompt", path)
