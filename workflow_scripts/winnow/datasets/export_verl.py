"""SFT datasets for verl: one Parquet file per table, which both of its SFT loaders read, and their check.

Facts of the loaders (verl/utils/dataset/{sft_dataset,multiturn_sft_dataset}.py at commit b178a3cd):
SFTDataset takes `prompt` and `response` as texts, puts the prompt into one user turn, and adds the end of
turn itself; MultiTurnSFTDataset takes `messages` alone, in which each `<image>` stands for the next of `images`:
{"image": path} with the limits of its size, the path relative to where verl is started. Neither knows pairs.
SFTDataset knows no images; so where prompts show any, its columns are left out, and it fails instead of training blind.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from winnow.core.errors import WinnowError
from winnow.core.images import image_file
from winnow.core.tables import MESSAGES, Row, read_rows, write_table
from winnow.datasets.export_tables import IMAGE_MARK, RenderedTable, answer_of, marked

SCHEMA = pa.schema([("id", pa.string()), ("prompt", pa.string()), ("response", pa.string()), ("messages", MESSAGES)])
IMAGES = pa.list_(pa.struct([("image", pa.string()), ("max_pixels", pa.int64()), ("min_pixels", pa.int64())]))
SCHEMA_IMAGES = pa.schema([("id", pa.string()), ("messages", MESSAGES), ("images", IMAGES)])

NO_PAIRS = "verl's SFT loaders know no pairs"

# SFTDataset has no system turn, so Qwen's template adds its own default, which is shorter than this.
DEFAULT_SYSTEM_TOKENS = 64

# verl gives an image of the wanted size to a processor with limits of its own, which makes four tokens of the smallest.
SMALLEST_IMAGE_TOKENS = 4


def file_of(table: RenderedTable) -> str:
    """Return the name of a table's file."""
    return f"{table.folder}.parquet"


def plain_prompt(row: Row) -> str:
    """Return a prompt as one text: what the system says, then what the user says. Nothing is left out."""
    return "\n\n".join(message["content"] for message in row["prompt"])


def schema_of(table: RenderedTable) -> pa.Schema:
    """Return the columns of a table's export."""
    return SCHEMA_IMAGES if table.shows_images else SCHEMA


def verl_row(row: Row, table: RenderedTable) -> Row:
    """Return a rendered row as verl reads it."""
    if (pixels := table.pixels) is not None:
        turns = [message | {"content": marked(message["content"])} for message in [*row["prompt"], *row["completion"]]]
        images = [{"image": path, **pixels.model_dump()} for path in row["images"]]
        return {"id": row[table.key], "messages": turns, "images": images}
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

    def tokens(row: Row) -> int:
        return table.tokens(row) + SMALLEST_IMAGE_TOKENS * len(row.get("images") or ())

    longest = max(map(tokens, table.rows()), default=0)
    columns = {"data.image_key": "images"}
    if not table.shows_images:
        columns = {"data.prompt_key": "prompt", "data.response_key": "response"}
    return columns | {
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
            counts[file_of(table)] = write_table(out / file_of(table), rows, schema_of(table), ["id"])
    return counts


def _loaded(path: Path, wanted_columns: pa.Schema) -> Iterator[Row]:
    """Yield rows as the loaders would read them.

    Raises:
        WinnowError: where one of them would fail or misread.
    """
    schema = pq.read_schema(path)
    for field in wanted_columns:
        if field.name not in schema.names or schema.field(field.name).type != field.type:
            what = f"column {field.name} is not of type {field.type}"
            raise WinnowError(path, what, "this is a defect of the export")
    for row in read_rows(path):
        roles = [message["role"] for message in row["messages"]]
        if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
            raise WinnowError(f"{path}, id {row['id']}", f"has turns of {roles}", "this is a defect of the export")
        said = [message["content"] for message in row["messages"]]
        if not all(said) or not row.get("prompt", True) or not row.get("response", True):
            raise WinnowError(f"{path}, id {row['id']}", "has no text", "this is a defect of the export")
        places, images = sum(text.count(IMAGE_MARK) for text in said), row.get("images") or []
        if places != len(images):
            what = f"has {places} places for {len(images)} images"
            raise WinnowError(f"{path}, id {row['id']}", what, "this is a defect of the export")
        for image in images:
            image_file(image["image"])
        yield row


def _built(message: Row) -> Row:
    """Return a message as MultiTurnSFTDataset builds it: a part for each mark of an image and for each text between."""
    parts = [part for part in re.split(f"({IMAGE_MARK})", message["content"]) if part]
    typed = (
        {"type": "image", "text": None} if part == IMAGE_MARK else {"type": "text", "text": part} for part in parts
    )
    return message | {"content": list(typed)}


def _says_the_same(found: Row, row: Row, table: RenderedTable) -> bool:
    """Return whether a loaded row is the one that TRL reads."""
    turns = [*row["prompt"], *row["completion"]]
    if found["id"] != row[table.key]:
        return False
    if (pixels := table.pixels) is not None:
        images = [{"image": path} | pixels.model_dump() for path in row["images"]]
        return [_built(message) for message in found["messages"]] == turns and found["images"] == images
    answer, prompt = answer_of(row, "completion"), plain_prompt(row)
    return bool(found["messages"] == turns and found["response"] == answer and found["prompt"] == prompt)


def check_table(out: Path, table: RenderedTable) -> int:
    """Compare an export row by row with the table that TRL reads, and return the number of rows.

    Raises:
        WinnowError: at the first difference.
    """
    path, count = out / file_of(table), 0
    loaded = _loaded(path, schema_of(table))
    for row in table.rows():
        found, count = next(loaded, None), count + 1
        if found is None or not _says_the_same(found, row, table):
            raise WinnowError(
                f"{path}, id {row[table.key]}", "differs from TRL's row", "this is a defect of the export"
            )
    if next(loaded, None) is not None:
        raise WinnowError(path, f"has more than the {count} rows of TRL's table", "this is a defect of the export")
    return count
