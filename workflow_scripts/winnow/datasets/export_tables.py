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
from winnow.datasets.messages import Content, places, said

IMAGE_MARK = "<image>"


class Pixels(Settings):
    """How large a modality shows images."""

    max_pixels: Positive
    min_pixels: Positive


class ExportSpec(Settings):
    """What export_dataset.py is told; verl's files depend on the tables alone, so it needs but study and pixels."""

    study: Name
    pixels: dict[Modality, Pixels] = Field(default_factory=dict, description="of the modalities that show images")
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
    pixels: Pixels | None = None

    @property
    def shows_images(self) -> bool:
        """Whether prompts show images."""
        return self.modality != "clean"

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
        pixels = spec.pixels.get(modality)
        if (modality != "clean") != (pixels is not None):
            raise WinnowError("--spec, key pixels", f"must be given for {modality} if and only if it shows images")
        tables.append(RenderedTable(parts[0], modality, parts[2], stage, path, spec.context.get(modality), pixels))
    return tables


def marked(content: Content) -> str:
    """Return a message as text with a mark for each image, in the words of both trainers."""
    return IMAGE_MARK * places(content) + said(content)


def answer_of(row: Row, side: str) -> str:
    """Return what the assistant says in a column of a rendered row."""
    (message,) = row[side]
    return said(message["content"])
