"""SFT datasets for verl: one Parquet file per table, which both of its SFT loaders read, and their check.

Facts of the loaders (verl/utils/dataset/{sft_dataset,multiturn_sft_dataset}.py at commit b178a3cd):
SFTDataset takes `prompt` and `response` as texts, puts the prompt into one user turn, and adds the end of
turn itself; MultiTurnSFTDataset takes `messages` alone. Neither knows pairs.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from winnow.core.errors import WinnowError
from winnow.core.tables import MESSAGES, Row, read_rows, write_table
from winnow.datasets.export_tables import RenderedTable, answer_of

SCHEMA = pa.schema([("id", pa.string()), ("prompt", pa.string()), ("response", pa.string()), ("messages", MESSAGES)])

NO_PAIRS = "verl's SFT loaders know no pairs"

# SFTDataset has no system turn, so Qwen's template adds its own default, which is shorter than this.
DEFAULT_SYSTEM_TOKENS = 64


def file_of(table: RenderedTable) -> str:
    """Return the name of a table's file."""
    return f"{table.folder}.parquet"


def plain_prompt(row: Row) -> str:
    """Return a prompt as one text: what the system says, then what the user says. Nothing is left out."""
    return "\n\n".join(message["content"] for message in row["prompt"])


def verl_row(row: Row, table: RenderedTable) -> Row:
    """Return a rendered row as verl reads it."""
    return {
        "id": row[table.key],
        "prompt": plain_prompt(row),
        "response": answer_of(row, "completion"),
        "messages": [*row["prompt"], *row["completion"]],
    }


def options(table: RenderedTable) -> dict[str, object]:
    """Return the options with which verl reads a table: its defaults ask for other columns and 1,024 tokens.

    `truncation: error` stops it at one row that is too long, which is better than a cut answer.
    """
    longest = max(map(table.tokens, table.rows()), default=0)
    return {
        "data.prompt_key": "prompt",
        "data.response_key": "response",
        "data.messages_key": "messages",
        "data.max_length": longest + DEFAULT_SYSTEM_TOKENS,
        "data.truncation": "error",
    }


def write_datasets(out: Path, tables: Sequence[RenderedTable]) -> dict[str, int]:
    """Write every SFT table and return rows by file."""
    counts = {}
    for table in tables:
        if table.stage == "sft":
            rows = (verl_row(row, table) for row in table.rows())
            counts[file_of(table)] = write_table(out / file_of(table), rows, SCHEMA, ["id"])
    return counts


def _loaded(path: Path) -> Iterator[Row]:
    """Yield rows as both loaders would read them.

    Raises:
        WinnowError: where one of them would fail or misread.
    """
    schema = pq.read_schema(path)
    for column, wanted in (("prompt", pa.string()), ("response", pa.string()), ("messages", MESSAGES)):
        if column not in schema.names or schema.field(column).type != wanted:
            raise WinnowError(path, f"column {column} is not of type {wanted}", "this is a defect of the export")
    for row in read_rows(path):
        roles = [message["role"] for message in row["messages"]]
        if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
            raise WinnowError(f"{path}, id {row['id']}", f"has turns of {roles}", "this is a defect of the export")
        if not row["prompt"] or not row["response"]:
            raise WinnowError(f"{path}, id {row['id']}", "has no text", "this is a defect of the export")
        yield row


def check_table(out: Path, table: RenderedTable) -> int:
    """Compare an export row by row with the table that TRL reads, and return the number of rows.

    Raises:
        WinnowError: at the first difference.
    """
    path, count = out / file_of(table), 0
    loaded = _loaded(path)
    for row in table.rows():
        found, count = next(loaded, None), count + 1
        same = (
            found is not None
            and found["id"] == row[table.key]
            and found["messages"] == [*row["prompt"], *row["completion"]]
            and found["response"] == answer_of(row, "completion")
            and found["prompt"] == plain_prompt(row)
        )
        if not same:
            raise WinnowError(
                f"{path}, id {row[table.key]}", "differs from TRL's row", "this is a defect of the export"
            )
    if next(loaded, None) is not None:
        raise WinnowError(path, f"has more than the {count} rows of TRL's table", "this is a defect of the export")
    return count
