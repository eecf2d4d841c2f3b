"""The responses that the models of a modality were trained to write."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from winnow.core.errors import WinnowError
from winnow.core.log import Progress
from winnow.core.tables import count_rows, read_rows

_COLUMNS = ("completion", "chosen")  # of SFT and of DPO


def training_texts(tables: Iterable[Path]) -> Iterator[str]:
    """Yield the trained responses of rendered training tables: SFT's completions, and the chosen sides of DPO.

    Raises:
        WinnowError: for a table that has neither.
    """
    for table in tables:
        column = next((name for name in _COLUMNS if name in pq.read_schema(table).names), None)
        if column is None:
            raise WinnowError(table, "has neither completions nor chosen responses", "give the train table of a run")
        progress = Progress(f"training responses of {table.parent}", count_rows(table))
        for row in read_rows(table, [column]):
            progress.step()
            for message in row[column]:
                content = message["content"]
                yield content if isinstance(content, str) else "".join(part["text"] or "" for part in content)
