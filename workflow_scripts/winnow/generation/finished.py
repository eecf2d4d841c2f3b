"""What is generated already: one line for each finished chunk of prompts, so that a killed job goes on where it was.

    {"chunk": number, "samples": [[{"token_ids", "text", "stop_reason"}, ... of a prompt], ... of the chunk]}

The file's folder is named by everything that shapes a response, so that its lines can belong to nothing else. Prompts
that are generated together are kept together: an engine's float bits may depend on what else is in a batch.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from winnow.core.ids import canonical_json
from winnow.core.log import log
from winnow.generation.sampling import Sample

Answers = list[list[Sample]]  # of each prompt of a chunk


class Finished:
    """The chunks in a file. The writer must hold its lock."""

    def __init__(self, file: Path) -> None:
        """Read a file and cut off what comes behind its last whole chunk."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        self._file = file
        self.chunks: list[Answers] = []
        whole = 0
        with file.open("rb") as lines:
            for line in lines:
                found = _read(line, len(self.chunks))
                if found is None:
                    break
                self.chunks.append(found)
                whole += len(line)
        if whole < file.stat().st_size:
            log(f"{file}: cutting off what a kill left behind chunk {len(self.chunks)}")
            os.truncate(file, whole)

    def add(self, answers: Sequence[Sequence[Sample]]) -> None:
        """Append the next chunk; when this returns it is on disk and survives a kill."""
        samples = [[asdict(sample) for sample in of_prompt] for of_prompt in answers]
        line = canonical_json({"chunk": len(self.chunks), "samples": samples}) + "\n"
        with self._file.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        self.chunks.append([list(of_prompt) for of_prompt in answers])


def _read(line: bytes, number: int) -> Answers | None:
    """Return the chunk of a line, or None where it is torn, damaged or not the one that is due."""
    try:
        content: dict[str, Any] = json.loads(line)
        if not line.endswith(b"\n") or content["chunk"] != number:
            return None
        return [
            [Sample(tuple(one["token_ids"]), one["text"], one["stop_reason"]) for one in of_prompt]
            for of_prompt in content["samples"]
        ]
    except (ValueError, KeyError, TypeError):
        return None
