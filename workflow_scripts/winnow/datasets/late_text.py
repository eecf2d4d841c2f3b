"""Texts of the few rows that need them, prompt by prompt, in constant memory.

Choosing works on ids; what is chosen then meets its text here. DuckDB orders the texts by prompt and
spills to disk, so memory does not grow with the corpus.
"""

import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import duckdb
import pyarrow as pa

from winnow.core.errors import WinnowError
from winnow.core.tables import Row

MEMORY = "512MB"
BATCH_ROWS = 500  # of rows with text: a few MB at a time


@contextmanager
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a DuckDB connection that spills to a temporary folder instead of growing."""
    with tempfile.TemporaryDirectory(prefix="winnow-") as folder, duckdb.connect() as connection:
        connection.execute(f"SET memory_limit='{MEMORY}'; SET threads=1; SET temp_directory='{folder}'")
        yield connection


def quoted(path: Path) -> str:
    """Return a path as an SQL text."""
    return "'" + str(path).replace("'", "''") + "'"


def _ordered(
    connection: duckdb.DuckDBPyConnection, table: Path, key: str, ids: Collection[str], columns: Sequence[str]
) -> Iterator[Row]:
    """Yield the rows of a table whose `key` is among `ids`, by prompt and then by key."""
    cursor = connection.cursor()
    cursor.register("wanted", pa.table({key: pa.array(sorted(ids), pa.string())}))
    names = ", ".join(f't."{column}"' for column in columns)
    source = f"read_parquet({quoted(table)}) t SEMI JOIN wanted USING ({key})"
    query = f"SELECT {names} FROM {source} ORDER BY t.prompt_id, t.{key}"
    for batch in cursor.sql(query).to_arrow_reader(BATCH_ROWS):
        yield from batch.to_pylist()


def responses_by_prompt(
    responses: Path, ids: Collection[str], columns: Sequence[str]
) -> Iterator[tuple[str, dict[str, Row]]]:
    """Yield each prompt with its wanted responses, in the order of prompt ids.

    Args:
        responses: the corpus's responses.parquet.
        ids: the responses that are wanted.
        columns: what is read of each, besides response_id and prompt_id.

    Raises:
        WinnowError: if the table lacks a wanted response.
    """
    found = 0
    with database() as connection:
        rows = _ordered(connection, responses, "response_id", ids, ["response_id", "prompt_id", *columns])
        for prompt_id, group in groupby(rows, key=lambda row: str(row["prompt_id"])):
            by_id = {row["response_id"]: row for row in group}
            found += len(by_id)
            yield prompt_id, by_id
    if found != len(set(ids)):
        raise WinnowError(
            responses,
            f"holds {found} of {len(set(ids))} wanted responses",
            "make corpus and scores from the same input",
        )


def prompts_with_responses(
    prompts: Path, responses: Path, ids: Collection[str], columns: Sequence[str], prompt_columns: Sequence[str]
) -> Iterator[tuple[Row, dict[str, Row]]]:
    """Yield each prompt's row with its wanted responses, in the order of prompt ids.

    Raises:
        WinnowError: if a table lacks a wanted row.
    """
    with database() as connection:
        owners = _owners(connection, responses, ids)
        rows = _ordered(connection, prompts, "prompt_id", owners, ["prompt_id", *prompt_columns])
        for prompt_id, by_id in responses_by_prompt(responses, ids, columns):
            prompt = next(rows, None)
            if prompt is None or prompt["prompt_id"] != prompt_id:
                raise WinnowError(prompts, f"lacks prompt {prompt_id}", "make both tables by one run of ingest")
            yield prompt, by_id


def _owners(connection: duckdb.DuckDBPyConnection, responses: Path, ids: Collection[str]) -> set[str]:
    """Return the prompts to which responses belong."""
    cursor = connection.cursor()
    cursor.register("wanted", pa.table({"response_id": pa.array(sorted(ids), pa.string())}))
    query = f"SELECT DISTINCT t.prompt_id FROM read_parquet({quoted(responses)}) t SEMI JOIN wanted USING (response_id)"
    return {row[0] for row in cursor.sql(query).fetchall()}
