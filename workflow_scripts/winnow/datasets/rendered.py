"""Rendered rows side by side with the source rows they claim to be made of, in constant memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from winnow.core.tables import Row
from winnow.datasets.late_text import BATCH_ROWS, database, quoted
from winnow.datasets.messages import only_answer, said

PROMPT_COLUMNS = ("prompt_id", "title", "abstract", "body", "decision", "year")
RESPONSE_COLUMNS = (
    "response_id",
    "prompt_id",
    "text",
    "rating",
    "rating_label",
    "rating_scale",
    "confidence",
    "confidence_label",
)


@dataclass(frozen=True)
class RenderedRow:
    """One row of train.parquet or val.parquet with its sources, which are None where they do not exist.

    Attributes:
        split: of the file.
        id: response_id or pair_id.
        row: as rendered.
        prompt: the source row of its prompt_id.
        responses: the source rows of its response, or of its chosen and rejected.
    """

    split: str
    id: str
    row: Row
    prompt: Row | None
    responses: tuple[Row | None, ...]

    @property
    def sides(self) -> tuple[str, ...]:
        """The columns that hold what the assistant says."""
        return ("completion",) if "completion" in self.row else ("chosen", "rejected")

    @property
    def texts(self) -> tuple[str, ...]:
        """What the assistant says; "" where a side is not exactly one message of the assistant."""
        return tuple(only_answer(self.row[side]) for side in self.sides)

    @property
    def user(self) -> str:
        """What the user says: the last message of the prompt."""
        return said(self.row["prompt"][-1]["content"]) if self.row["prompt"] else ""


def _query(rendered: Path, prompts: Path, responses: Path, ids: Sequence[str]) -> str:
    """Return the join of rendered rows with their source rows; only the needed sources are held."""
    table = f"read_parquet({quoted(rendered)})"
    wanted = " UNION ".join(f"SELECT {column} AS id FROM {table}" for column in ids)
    prompt_columns, response_columns = ", ".join(PROMPT_COLUMNS), ", ".join(RESPONSE_COLUMNS)
    sources = f"""
        p AS (SELECT {prompt_columns} FROM read_parquet({quoted(prompts)})
              WHERE prompt_id IN (SELECT prompt_id FROM {table})),
        r AS (SELECT {response_columns} FROM read_parquet({quoted(responses)}) WHERE response_id IN ({wanted}))"""
    joins = " ".join(f"LEFT JOIN r AS r{i} ON t.{column} = r{i}.response_id" for i, column in enumerate(ids))
    structs = ", ".join(f"r{i} AS response_{i}" for i in range(len(ids)))
    return (
        f"WITH {sources} SELECT t AS rendered, p AS prompt, {structs} FROM {table} AS t"
        f" LEFT JOIN p ON t.prompt_id = p.prompt_id {joins}"
    )


def rendered_rows(split: str, rendered: Path, prompts: Path, responses: Path, stage: str) -> Iterator[RenderedRow]:
    """Yield every rendered row with its sources, in no particular order."""
    key, ids = ("response_id", ["response_id"]) if stage == "sft" else ("pair_id", ["chosen_id", "rejected_id"])
    with database() as connection:
        reader = connection.sql(_query(rendered, prompts, responses, ids)).to_arrow_reader(BATCH_ROWS)
        for batch in reader:
            for joined in batch.to_pylist():
                row = joined["rendered"]
                yield RenderedRow(
                    split,
                    row[key],
                    row,
                    _known(joined["prompt"], "prompt_id"),
                    tuple(_known(joined[f"response_{i}"], "response_id") for i in range(len(ids))),
                )


def _known(source: Row | None, key: str) -> Row | None:
    """Return a joined source row, None where the join found nothing."""
    return None if source is None or source[key] is None else source
