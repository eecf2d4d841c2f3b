"""Judgements kept by content: one line per judged text, so that no text is judged twice by the same judge.

    DIR/<judge key>/<batch>-<shard>-of-<shards>.jsonl      {"key": <content key>, "judgement": {...}}
                                                           {"committed": <lines of this chunk>}

The folder stands for judge and checklist, the key also for the text. Every file of the folder is
looked up, one is written to, under a lock. So another number of shards, another study or corpus with the
same texts finds what is there.

Texts that were judged together are kept together: a chunk ends with a line that commits it, and what a
kill left behind the last such line is cut off before the next is written. A language model's
probabilities depend in their last digits on what else was in the batch, so a half chunk could not be continued
to the same bytes.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from winnow.core.ids import canonical_json, content_key
from winnow.core.log import log
from winnow.scoring.checklist import Checklist
from winnow.scoring.judge import Identity

_HEAD = b'{"key":"'
_COMMIT = b'{"committed":'
_KEY = slice(len(_HEAD), len(_HEAD) + 64)
_OFFSET_BITS = 44  # of a place: a file of up to 16 TB, and above it the file's number


def judge_key(identity: Identity, checklist: Checklist) -> str:
    """Return the name of the folder of one judge with one checklist."""
    return content_key([checklist.sha256, identity.key])[:16]


def row_key(text_sha256: str, identity: Identity, checklist: Checklist) -> str:
    """Return the key of one text's judgement: text, checklist, prompt and parser, model, revision, mode, seed."""
    return content_key([text_sha256, checklist.sha256, identity.key])


def _short(key: str) -> int:
    # 64 bits instead of the whole key, to keep the index small; the line itself has the whole.
    return int(key[:16], 16)


class Cache:
    """The judgements of one judge and checklist, on disk; in memory is only where each line begins.

    That takes some 150 bytes per line, whatever a judgement's length.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Take over a folder.

        Args:
            folder: DIR/<judge key>.
            name: of the file that this writer appends to; the writer must hold its lock.
        """
        folder.mkdir(parents=True, exist_ok=True)
        own = folder / name
        own.touch()
        self._places: dict[int, int] = {}
        self._files: list[BinaryIO] = []
        for number, path in enumerate([own, *sorted(set(folder.glob("*.jsonl")) - {own})]):
            self._files.append(path.open("r+b" if path == own else "rb"))
            self._index(number, path, ours=path == own)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            file.close()

    def __len__(self) -> int:
        return len(self._places)

    def _index(self, number: int, path: Path, *, ours: bool) -> None:
        """Note where the lines of a file's whole chunks begin, and cut the rest off our own."""
        place = whole = 0
        chunk: dict[int, int] = {}
        for line in self._files[number]:
            if not line.endswith(b"\n"):
                pass  # torn
            elif line.startswith(_COMMIT):
                for key, start in chunk.items():
                    # Of our own, the last: one that was judged again stands after the damaged one.
                    if ours or key not in self._places:
                        self._places[key] = number << _OFFSET_BITS | start
                chunk, whole = {}, place + len(line)
            elif line.startswith(_HEAD):
                chunk[_short(line[_KEY].decode("ascii", "replace"))] = place
            place += len(line)
        if ours and whole < place:
            log(f"{path.name}: cutting off {place - whole:,} bytes of a chunk that was not finished")
            self._files[number].truncate(whole)

    def get(self, key: str) -> dict[str, Any] | None:
        """Return what is kept under a key, or None."""
        place = self._places.get(_short(key))
        if place is None:
            return None
        file = self._files[place >> _OFFSET_BITS]
        file.seek(place & ((1 << _OFFSET_BITS) - 1))
        try:
            line = json.loads(file.readline())
            found: dict[str, Any] | None = line["judgement"] if line["key"] == key else None
        except (ValueError, KeyError, TypeError):
            found = None
        if found is None:
            log(f"{file.name}: the line of {key[:16]} is damaged; judging again")
        return found

    def add(self, judgements: Mapping[str, Mapping[str, Any]]) -> None:
        """Append a chunk of judgements by key; when this returns they are on disk and survive a kill."""
        own = self._files[0]
        place = own.seek(0, os.SEEK_END)
        for key, line in _lines(judgements.items()):
            own.write(line)
            self._places[_short(key)] = place
            place += len(line)
        own.write(_COMMIT + f"{len(judgements)}}}\n".encode())
        own.flush()
        os.fsync(own.fileno())


def _lines(judgements: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[tuple[str, bytes]]:
    for key, judgement in judgements:
        yield key, f'{{"key":"{key}","judgement":{canonical_json(judgement)}}}\n'.encode()
