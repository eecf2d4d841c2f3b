"""Datasets and training files for LLaMA-Factory, in its sharegpt format.

Facts of its loader (src/llamafactory/data/{parser,converter}.py at commit ff6d4d12): where `columns` is
present, every column that is not named becomes None; where `tags` is present, every tag; a row with the
wrong order of roles is skipped with a warning; `chosen` and `rejected` must be objects; a folder as
`file_name` loads every file in it, so the file itself is named; `formatting: openai` adds words of its own
to the system turn; each `<image>` in the turns stands for the next of `images`, whose paths are relative to the
folder of the datasets. `llama_factory_loader.py` reads the result back by these rules.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from winnow.core.files import replacing, write_json
from winnow.core.tables import Row
from winnow.datasets.export_tables import RenderedTable, answer_of, marked

SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt"}


def name_of(dataset: str, modality: str, split: str) -> str:
    """Return the name under which LLaMA-Factory knows a table."""
    return f"training_checklist_{dataset}_{modality}_{split}"


def sharegpt_row(row: Row, table: RenderedTable, out: Path) -> Row:
    """Return a rendered row as LLaMA-Factory reads it; `id` is for people, its loader drops the column.

    Args:
        row: of the rendered table.
        table: which one.
        out: the folder of the datasets, to which the paths of images become relative.
    """
    turns = [{"from": SPEAKERS[message["role"]], "value": marked(message["content"])} for message in row["prompt"]]
    # As the system follows the dots: `out` may be reached by a link.
    start, here = out.resolve(), Path.cwd()
    images = {"images": [os.path.relpath(here / path, start) for path in row["images"]]} if table.shows_images else {}
    if table.stage == "sft":
        turns.append({"from": "gpt", "value": answer_of(row, "completion")})
        return {"id": row[table.key], "conversations": turns, **images}
    sides = {side: {"from": "gpt", "value": answer_of(row, side)} for side in ("chosen", "rejected")}
    return {"id": row[table.key], "conversations": turns, **sides, **images}


def dataset_entry(table: RenderedTable) -> dict[str, Any]:
    """Return a table's entry of dataset_info.json; `tags` stays absent, so that from, value, human and gpt hold."""
    entry: dict[str, Any] = {
        "file_name": f"{table.folder}/data.json",
        "formatting": "sharegpt",
        "columns": {"messages": "conversations"},
    }
    if table.shows_images:
        entry["columns"]["images"] = "images"
    if table.stage == "dpo":
        entry["ranking"] = True
        entry["columns"] |= {"chosen": "chosen", "rejected": "rejected"}
    return entry


def write_rows(path: Path, table: RenderedTable, out: Path) -> int:
    """Write a table as one JSON array with a row on each line, and return the number of rows."""
    count = 0
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        file.write("[")
        for row in table.rows():
            file.write(",\n" if count else "\n")
            file.write(json.dumps(sharegpt_row(row, table, out), ensure_ascii=False, allow_nan=False))
            count += 1
        file.write("\n]\n")
    return count


def write_datasets(out: Path, tables: Sequence[RenderedTable]) -> dict[str, int]:
    """Write every table and dataset_info.json, and return rows by name.

    A table without rows is counted and not registered: its loader cannot read an empty file.
    """
    counts, entries = {}, {}
    for table in tables:
        name = name_of(table.dataset, table.modality, table.split)
        counts[name] = write_rows(out / table.folder / "data.json", table, out)
        if counts[name]:
            entries[name] = dataset_entry(table)
    write_json(out / "dataset_info.json", entries)
    return counts
