"""The same rows in every modality: which ids go, and why."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from winnow.core.config.base import Modality, Settings, Stage
from winnow.core.manifest import Tally
from winnow.core.tables import BATCH_ROWS, Row, read_rows


class AlignSpec(Settings):
    """What align_modalities.py is told."""

    stage: Stage
    modality: Modality

    @property
    def key(self) -> str:
        """The column that names a row."""
        return "response_id" if self.stage == "sft" else "pair_id"


def left_out_elsewhere(others: Mapping[str, Path]) -> dict[str, str]:
    """Return id → reason for rows that other modalities leave out.

    Args:
        others: modality → its left_out.parquet. Where several leave a row out, the first by name gives the reason.
    """
    reasons: dict[str, str] = {}
    for modality, path in sorted(others.items()):
        for row in read_rows(path):
            reasons.setdefault(row["id"], f"left out in {modality}: {row['reason']}")
    return reasons


def kept_rows(rendered: Path, split: str | None, key: str, reasons: Mapping[str, str], tally: Tally) -> Iterator[Row]:
    """Yield the rows of a split (None: of all splits) that no other modality leaves out; the tally gets the others."""
    with pq.ParquetFile(rendered) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            rows = batch if split is None else batch.filter(pc.equal(batch.column("split"), split))
            for row in rows.to_pylist():
                tally.read += 1
                if (reason := reasons.get(row[key])) is not None:
                    tally.drop(reason)
                    continue
                tally.kept += 1
                yield row
