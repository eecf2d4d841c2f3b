"""Raw files as rows, one at a time, with errors that name the file, the row and the cure."""

import csv
import difflib
import gzip
import json
import math
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from winnow.core.errors import WinnowError
from winnow.core.ids import canonical_json, sha256_text
from winnow.corpus.records import Origin

BATCH_ROWS = 1_000


class Row(NamedTuple):
    """One raw record and the line (or row, in Parquet) that it came from, counted from 1."""

    line: int
    values: dict[str, Any]


def read_records(path: Path) -> Iterator[Row]:
    """Yield the records of a .jsonl, .csv or .parquet file, each also .gz.

    Raises:
        WinnowError: if the file is missing, of another kind, cut short or not what its ending says.
    """
    if not path.is_file():
        folder = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, folder, 1)
        fix = f"did you mean {near[0]}?" if near else "check the path in the study, and data_root in config.yaml"
        raise WinnowError(path, "there is no such file", fix)
    name = path.name.removesuffix(".gz")
    readers = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    for ending, reader in readers.items():
        if name.endswith(ending):
            yield from reader(path)
            return
    raise WinnowError(path, "is of an unknown kind", f"use one of {', '.join(readers)}, each also with .gz")


def require(row: Row, key: str, path: Path) -> Any:
    """Return a row's value, None included.

    Raises:
        WinnowError: if the row has no such key, naming the nearest one that it has.
    """
    if key not in row.values:
        near = difflib.get_close_matches(key, row.values, 1)
        fix = f"did you mean {near[0]!r}? " if near else ""
        raise WinnowError(f"{path}, row {row.line}", f"has no key {key!r}", f"{fix}it has: {', '.join(row.values)}")
    return row.values[key]


@contextmanager
def _lines(path: Path) -> Iterator[tuple[TextIO, list[int]]]:
    """Open text, gzip or not, and turn the faults of reading into errors that name the line reached.

    Yields:
        The text, and a list of one number in which the caller keeps the line that it has reached.
    """
    reached = [0]
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8", newline="")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8", newline="") as file
        ):
            yield file, reached
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problem = f"is cut short or damaged after line {reached[0]}: {error}"
        raise WinnowError(path, problem, "copy or download the file again") from error
    except UnicodeDecodeError as error:
        raise WinnowError(path, f"is not UTF-8 after line {reached[0]}: {error.reason}", "convert it") from error


def _refuse_nan(name: str) -> None:
    raise ValueError(f"{name} is not JSON; write null where a number is missing")


def _jsonl(path: Path) -> Iterator[Row]:
    with _lines(path) as (file, reached):
        for line, text in enumerate(file, 1):
            reached[0] = line
            if not text.strip():
                continue
            try:
                values = json.loads(text, parse_constant=_refuse_nan)
            except ValueError as error:
                fix = "each line must hold one whole JSON object; mend or remove this line"
                raise WinnowError(f"{path}, line {line}", f"is not valid JSON: {error}", fix) from error
            if not isinstance(values, dict):
                problem = f"holds a JSON {type(values).__name__}, not an object"
                raise WinnowError(f"{path}, line {line}", problem, "write one object with named keys on each line")
            yield Row(line, values)


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)
    with _lines(path) as (file, reached):
        reader = csv.reader(file, strict=True)
        try:
            names = next(reader, [])
            if len(set(names)) < len(names):
                raise WinnowError(path, "names a column twice in its first line", "rename one of them")
            for cells in reader:
                reached[0] = reader.line_num
                if len(cells) != len(names):
                    problem = f"has {len(cells)} cells, the first line names {len(names)} columns"
                    raise WinnowError(f"{path}, line {reader.line_num}", problem, "mend its commas and quotes")
                yield Row(reader.line_num, dict(zip(names, (cell or None for cell in cells), strict=True)))
        except csv.Error as error:
            raise WinnowError(f"{path}, line {reader.line_num}", f"is not valid CSV: {error}") from error


def _parquet(path: Path) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        plain = path
        if path.suffix == ".gz":  # Parquet is read from its end, so it is unpacked to disk
            plain = Path(folder) / "plain.parquet"
            with _lines(path), gzip.open(path) as packed, plain.open("wb") as file:
                shutil.copyfileobj(packed, file)
        try:
            with pq.ParquetFile(plain) as table:
                line = 0
                for batch in table.iter_batches(BATCH_ROWS):
                    for values in batch.to_pylist():
                        line += 1
                        yield Row(line, {name: _plain(value) for name, value in values.items()})
        except pa.ArrowInvalid as error:
            raise WinnowError(path, f"is not valid Parquet: {error}", "copy or write the file again") from error


def _plain(value: Any) -> Any:
    """Return a value of a table as JSON has it: NaN, which pandas writes where nothing is, as null, dates as text."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    return value if value is None or isinstance(value, str | int | float) else str(value)


def identify(row: Row, key: str, path: Path) -> tuple[str, Origin]:
    """Return a record's id and where it comes from; `source` is the record's own word for it, else the file's name.

    Raises:
        WinnowError: if the id is absent or is not text.
    """
    identity = require(row, key, path)
    if not isinstance(identity, str) or not identity:
        raise WinnowError(f"{path}, row {row.line}", f"key {key!r} holds {identity!r}", "give every record an id")
    return identity, origin_of(row, path, str(row.values.get("source") or path.name))


def origin_of(row: Row, path: Path, source: str) -> Origin:
    """Return where a record comes from."""
    try:
        digest = sha256_text(canonical_json(row.values))
    except ValueError as error:
        raise WinnowError(f"{path}, row {row.line}", "holds an infinite number", "write null instead") from error
    return Origin(str(path), row.line, source, digest)


def text_of(row: Row, key: str, path: Path) -> str | None:
    """Return a row's text, or None where it is null.

    Raises:
        WinnowError: if the key is absent or holds something other than text.
    """
    value = require(row, key, path)
    if value is None or isinstance(value, str):
        return value
    problem = f"key {key!r} holds {type(value).__name__}, not text"
    raise WinnowError(f"{path}, row {row.line}", problem, "convert it to text, or name another column in the study")


def scalar_of(values: Mapping[str, Any], key: str | None) -> str | None:
    """Return a value that may be text, number or truth as text; None where it is null or no key is given."""
    value = None if key is None else values.get(key)
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True)
