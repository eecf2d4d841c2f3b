"""The tables that steps exchange: their columns, and reading and writing them in constant memory.

A table is one Parquet file whose rows are ordered by its key columns and whose bytes depend on its
rows alone. Ordering is done by DuckDB, which spills to disk, so that memory does not grow with a
corpus; the bytes are written by pyarrow with fixed settings.
"""

import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from winnow.core.errors import WinnowError
from winnow.core.files import replacing

BATCH_ROWS = 2_000
SORT_MEMORY = "1GB"


class _NoPandas:
    """Hides pandas while pyarrow looks for it."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


# pyarrow imports pandas with the first array that it makes, where it finds it: a third of a second in every step, and
# nothing here uses it. It asks once; who imports pandas, or calls to_pandas(), has it still.
sys.meta_path.insert(0, _NoPandas)
pa.array([])
sys.meta_path.remove(_NoPandas)


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


_TEXT, _NUMBER, _COUNT = pa.string(), pa.float64(), pa.int64()

PROMPTS = _schema(
    prompt_id=_TEXT,
    title=_TEXT,
    abstract=_TEXT,
    body=_TEXT,
    image_paths=pa.list_(_TEXT),  # the PDF that the record names, below the corpus's `pdfs`; null: by prompt_id
    decision=_TEXT,  # accept, reject, workshop, withdrawn, or null where nobody decided
    ground_truth=_TEXT,
    label=_TEXT,
    year=_COUNT,
    group=_TEXT,  # prompts that name one group are in one split; null: nothing but likeness groups it
    source=_TEXT,
    text_sha256=_TEXT,  # of title, abstract and body: content_key
)
RESPONSES = _schema(
    response_id=_TEXT,
    prompt_id=_TEXT,
    text=_TEXT,
    rating=_NUMBER,
    rating_label=_TEXT,  # as it was given: "8: Top 50% of accepted papers, clear accept"
    rating_scale=pa.list_(_NUMBER),  # every legal rating, ascending
    confidence=_NUMBER,
    confidence_label=_TEXT,
    author_kind=_TEXT,  # human, model or template
    date=_TEXT,
    flags=pa.list_(_TEXT),  # what a reader should know: rebuttal_edit, control_characters, ...
    source=_TEXT,
    text_sha256=_TEXT,
)
REJECTED = _schema(kind=_TEXT, record_id=_TEXT, reason=_TEXT, detail=_TEXT, source=_TEXT, record_sha256=_TEXT)
SPLITS = _schema(prompt_id=_TEXT, split=_TEXT, optimize=pa.bool_(), group_id=_TEXT)

IMAGES = _schema(
    prompt_id=_TEXT,
    number=pa.int32(),  # within the prompt, from 0: the order in which a model is shown them
    kind=_TEXT,  # figure or page
    path=_TEXT,  # relative to the checkout; core.images.image_file checks and opens it
    sha256=_TEXT,
    width=pa.int32(),
    height=pa.int32(),
)
IMAGES_REJECTED = _schema(prompt_id=_TEXT, file=_TEXT, reason=_TEXT)  # a prompt that has no image, one row each

CHOSEN_RESPONSES = _schema(
    response_id=_TEXT,
    prompt_id=_TEXT,
    split=_TEXT,
    rank=_COUNT,
    reason=_TEXT,
    checkmark_count=_COUNT,
    checkmark_max=_COUNT,
    p_yes_mean=_NUMBER,
    confidence=_NUMBER,
)
CHOSEN_PAIRS = _schema(
    pair_id=_TEXT,
    prompt_id=_TEXT,
    split=_TEXT,
    chosen_id=_TEXT,
    rejected_id=_TEXT,
    rating_diff=_NUMBER,
    rating_diff_scaled=_NUMBER,  # divided by the width of the scale
    checkmark_diff=_COUNT,
    checkmark_score_diff=_NUMBER,
    similarity=_NUMBER,
    length_ratio=_NUMBER,
    pair_score=_NUMBER,
    rank=_COUNT,
    reason=_TEXT,
)
LEDGER_RESPONSES = _schema(response_id=_TEXT, prompt_id=_TEXT, split=_TEXT, reason=_TEXT)
LEDGER_PAIRS = _schema(chosen_id=_TEXT, rejected_id=_TEXT, prompt_id=_TEXT, split=_TEXT, reason=_TEXT)

LEFT_OUT = _schema(id=_TEXT, split=_TEXT, reason=_TEXT)  # chosen rows that one modality cannot show

MESSAGES = pa.list_(pa.struct([("role", _TEXT), ("content", _TEXT)]))
# With images a message is a list of parts: {"type": "image", "text": null} or {"type": "text", "text": ...}.
TYPED_MESSAGES = pa.list_(
    pa.struct([("role", _TEXT), ("content", pa.list_(pa.struct([("type", _TEXT), ("text", _TEXT)])))])
)
_RENDERED: dict[str, pa.DataType] = {
    "prompt_id": _TEXT,
    "corpus": _TEXT,
    "split": _TEXT,
    "decision": _TEXT,
    "year": _COUNT,
    "prompt_tokens": _COUNT,
    "prompt_tokens_cut": _COUNT,  # tokens of the body left out to fit the context; 0 is the rule
}
RENDERED_SFT = _schema(
    prompt=MESSAGES,
    completion=MESSAGES,
    response_id=_TEXT,
    completion_tokens=_COUNT,
    rating=_NUMBER,
    checkmark_count=_COUNT,
    checkmark_score=_NUMBER,
    **_RENDERED,
)
RENDERED_DPO = _schema(
    prompt=MESSAGES,
    chosen=MESSAGES,
    rejected=MESSAGES,
    pair_id=_TEXT,
    chosen_id=_TEXT,
    rejected_id=_TEXT,
    chosen_tokens=_COUNT,
    rejected_tokens=_COUNT,
    chosen_rating=_NUMBER,
    rejected_rating=_NUMBER,
    chosen_checkmark_count=_COUNT,
    rejected_checkmark_count=_COUNT,
    **_RENDERED,
)


def _with_images(rendered: pa.Schema) -> pa.Schema:
    """Return a rendered table's schema where prompts show images: typed messages, and the files in their order."""
    fields = [pa.field(f.name, TYPED_MESSAGES) if f.type == MESSAGES else f for f in rendered]
    return pa.schema([*fields, pa.field("images", pa.list_(_TEXT))])


RENDERED_SFT_IMAGES = _with_images(RENDERED_SFT)
RENDERED_DPO_IMAGES = _with_images(RENDERED_DPO)

Row = dict[str, Any]


def rendered_schema(stage: str, *, images: bool) -> pa.Schema:
    """Return the columns of what is rendered for a stage: sft or dpo."""
    if stage == "sft":
        return RENDERED_SFT_IMAGES if images else RENDERED_SFT
    return RENDERED_DPO_IMAGES if images else RENDERED_DPO


def _batches(rows: Iterable[Row], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Group rows into record batches; a row must have exactly the schema's columns."""
    names, pending = set(schema.names), []
    for row in rows:
        if row.keys() != names:
            raise ValueError(f"row has columns {sorted(row)}, the table {sorted(names)}")
        pending.append(row)
        if len(pending) == BATCH_ROWS:
            yield pa.RecordBatch.from_pylist(pending, schema=schema)
            pending = []
    if pending:
        yield pa.RecordBatch.from_pylist(pending, schema=schema)


def _write(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
    """Write batches in their order with settings that give equal bytes for equal rows."""
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd", write_statistics=True) as writer:
        pending: list[pa.RecordBatch] = []
        held = 0
        for batch in batches:
            # Row groups end at multiples of BATCH_ROWS, however the rows arrived.
            start = 0
            while start < len(batch):
                take = batch.slice(start, BATCH_ROWS - held)
                start += len(take)
                pending.append(take)
                held += len(take)
                count += len(take)
                if held == BATCH_ROWS:
                    writer.write_table(pa.Table.from_batches(pending, schema).combine_chunks())
                    pending, held = [], 0
        if pending:
            writer.write_table(pa.Table.from_batches(pending, schema).combine_chunks())
    return count


def write_table(path: Path, rows: Iterable[Row], schema: pa.Schema, order: Sequence[str]) -> int:
    """Write rows ordered by the columns `order`, and return their number.

    Memory stays bounded: rows go to a temporary file in the order they come and are ordered on disk.

    Raises:
        ValueError: if a row's columns are not those of the schema.
        WinnowError: if two rows have equal `order` columns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        unordered = Path(folder) / "unordered.parquet"
        if not _write(unordered, _batches(rows, schema), schema):
            with replacing(path) as part:
                return _write(part, [], schema)
        keys = ", ".join(f'"{column}"' for column in order)
        with duckdb.connect() as database:
            database.execute(f"SET memory_limit='{SORT_MEMORY}'; SET threads=1; SET temp_directory='{folder}'")
            source = f"read_parquet('{unordered}')"
            twins = f"SELECT {keys}, count(*) FROM {source} GROUP BY {keys} HAVING count(*) > 1 ORDER BY {keys} LIMIT 1"
            if (found := database.execute(twins).fetchone()) is not None:
                key = ", ".join(f"{column}={value}" for column, value in zip(order, found, strict=False))
                raise WinnowError(path.name, f"{found[-1]} rows have the same key {key}", "make the ids unique")
            ordered = database.sql(f"SELECT * FROM {source} ORDER BY {keys} NULLS FIRST")
            with replacing(path) as part:
                return _write(part, (b.cast(schema) for b in ordered.to_arrow_reader(BATCH_ROWS)), schema)


def read_rows(path: Path, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Yield a table's rows as dictionaries, a batch in memory at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=columns):
            yield from batch.to_pylist()


def count_rows(path: Path) -> int:
    """Return the number of rows of a table without reading them."""
    return int(pq.read_metadata(path).num_rows)
