"""What every export starts from: the tables that TRL reads, one by one, a batch of rows in memory at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

import pyarrow.parquet as pq

from winnow.core.config import Modality, Model, Name, Positive, ResolvedRun, Settings, Stage
from winnow.core.errors import WinnowError
from winnow.core.tables import Row, read_rows


class ExportSpec(Settings):
    """What export_dataset.py is told."""

    study: Name
    models: dict[Name, Model]
    runs: tuple[ResolvedRun, ...]
    context: dict[Modality, Positive]


@dataclass(frozen=True)
class RenderedTable:
    """One rendered table: a split of a dataset in a modality."""

    dataset: str
    modality: Modality
    split: str
    stage: Stage
    path: Path
    context: int

    @property
    def folder(self) -> str:
        """A short name for files: sft_clean_train."""
        return f"{self.dataset}_{self.modality}_{self.split}"

    @property
    def key(self) -> str:
        """The column that names a row."""
        return "response_id" if self.stage == "sft" else "pair_id"

    def rows(self) -> Iterator[Row]:
        """Yield the rows in the order of their ids."""
        return read_rows(self.path)


def tables_of(paths: Mapping[str, Path], spec: ExportSpec) -> list[RenderedTable]:
    """Return the tables that DATASET/MODALITY/SPLIT names stand for, in the order of the names.

    Raises:
        WinnowError: if a name has another form, or its modality no context.
    """
    tables = []
    for name, path in sorted(paths.items()):
        parts = name.split("/")
        if len(parts) != 3 or parts[1] not in get_args(Modality) or parts[2] not in ("train", "val"):
            raise WinnowError(
                f"--datasets {name}", "is not DATASET/MODALITY/SPLIT", "write for example sft/clean/train=FILE"
            )
        modality = cast(Modality, parts[1])
        if modality not in spec.context:
            raise WinnowError("--spec, key context", f"lacks modality {modality}", "give the context of every modality")
        columns = pq.read_schema(path).names
        stage: Stage = "sft" if "completion" in columns else "dpo"
        tables.append(RenderedTable(parts[0], modality, parts[2], stage, path, spec.context[modality]))
    return tables


def answer_of(row: Row, side: str) -> str:
    """Return what the assistant says in a column of a rendered row."""
    (message,) = row[side]
    return str(message["content"])
