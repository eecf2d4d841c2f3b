"""What every export starts from: the tables that TRL reads, one by one, a batch of rows in memory at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

import pyarrow.parquet as pq
from pydantic import Field

from winnow.core.config.base import Modality, Name, Positive, Settings, Stage
from winnow.core.config.models import Model
from winnow.core.config.runs import ResolvedRun
from winnow.core.errors import WinnowError
from winnow.core.tables import Row, read_rows


class ExportSpec(Settings):
    """What export_dataset.py is told; verl's files depend on the tables alone, so it needs nothing of it but study."""

    study: Name
    models: dict[Name, Model] = Field(default_factory=dict)
    runs: tuple[ResolvedRun, ...] = ()
    context: dict[Modality, Positive] = Field(default_factory=dict)


@dataclass(frozen=True)
class RenderedTable:
    """One rendered table: a split of a dataset in a modality."""

    dataset: str
    modality: Modality
    split: str
    stage: Stage
    path: Path
    context: int | None

    @property
    def folder(self) -> str:
        """A short name for files: sft_clean_train."""
        return f"{self.dataset}_{self.modality}_{self.split}"

    @property
    def key(self) -> str:
        """The column that names a row."""
        return "response_id" if self.stage == "sft" else "pair_id"

    @property
    def sides(self) -> tuple[str, ...]:
        """The columns that hold what the assistant says."""
        return ("completion",) if self.stage == "sft" else ("chosen", "rejected")

    def tokens(self, row: Row) -> int:
        """Return the tokens of a row's prompt and its longest answer."""
        return int(row["prompt_tokens"]) + max(int(row[f"{side}_tokens"]) for side in self.sides)

    def rows(self) -> Iterator[Row]:
        """Yield the rows in the order of their ids."""
        return read_rows(self.path)


def tables_of(paths: Mapping[str, Path], spec: ExportSpec) -> list[RenderedTable]:
    """Return the tables that DATASET/MODALITY/SPLIT names stand for, in the order of the names.

    Raises:
        WinnowError: if a name has another form.
    """
    tables = []
    for name, path in sorted(paths.items()):
        parts = name.split("/")
        if len(parts) != 3 or parts[1] not in get_args(Modality) or parts[2] not in ("train", "val"):
            raise WinnowError(
                f"--datasets {name}", "is not DATASET/MODALITY/SPLIT", "write for example sft/clean/train=FILE"
            )
        modality = cast(Modality, parts[1])
        columns = pq.read_schema(path).names
        stage: Stage = "sft" if "completion" in columns else "dpo"
        tables.append(RenderedTable(parts[0], modality, parts[2], stage, path, spec.context.get(modality)))
    return tables


def answer_of(row: Row, side: str) -> str:
    """Return what the assistant says in a column of a rendered row."""
    (message,) = row[side]
    return str(message["content"])
