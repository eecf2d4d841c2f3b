"""The images of a corpus for one modality: a table of them, a table of prompts without any, and counts."""

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from winnow.core.images import image_path
from winnow.core.log import Progress, log
from winnow.core.manifest import Tally
from winnow.core.tables import IMAGES, IMAGES_REJECTED, Row, count_rows, read_rows, write_table
from winnow.corpus.draw_one import Subject, draw_subject
from winnow.corpus.image_sources import DrawSettings, check_folders
from winnow.corpus.isolation import isolated

DEATH = "drawing it ended the process (a crash, or too much memory or time)"


class ImageTables(NamedTuple):
    """Where the tables go."""

    images: Path
    rejected: Path


class Report(NamedTuple):
    """What a manifest says besides its files."""

    counts: dict[str, Any]
    sources_sha256: str  # of the names and hashes of all files that were read, in the order of prompts


class _Work:
    """One pass over the prompts: yields rows of images, and remembers the rest."""

    def __init__(self, prompts: Path, settings: DrawSettings, root: Path, workers: int) -> None:
        self.prompts, self.settings, self.root, self.workers = prompts, settings, root, workers
        self.tally = Tally()
        self.rejected: list[Row] = []
        self.sources = hashlib.sha256()
        self.images = self.from_cache = 0

    def rows(self) -> Iterator[Row]:
        """Draw every prompt, and yield its images."""
        progress = Progress("prompts drawn", count_rows(self.prompts))
        work = partial(draw_subject, settings=self.settings, root=self.root)
        for subject, drawn in isolated(work, self._subjects(), self.workers):
            progress.step()
            self.tally.read += 1
            if drawn is None:
                self._reject(subject.prompt_id, None, DEATH)
                continue
            self.from_cache += drawn.from_cache
            self.sources.update("".join(f"{subject.prompt_id} {source}\n" for source in drawn.sources).encode())
            for note, count in drawn.notes.items():
                self.tally.note(note, count)
            if drawn.kept.reason is not None:
                self._reject(subject.prompt_id, drawn.kept.file, drawn.kept.reason)
                continue
            self.tally.kept += 1
            for number, (sha256, width, height) in enumerate(drawn.kept.images):
                self.images += 1
                yield {
                    "prompt_id": subject.prompt_id,
                    "number": number,
                    "kind": self.settings.kind,
                    "path": image_path(sha256),
                    "sha256": sha256,
                    "width": width,
                    "height": height,
                }

    def _subjects(self) -> Iterator[Subject]:
        demo = self.settings.adapter == "demo"
        text = ("title", "abstract", "body") if demo else ()
        for row in read_rows(self.prompts, ["prompt_id", "image_paths", *text]):
            shown = "\n\n".join(row[field] or "" for field in text) if demo else None
            yield Subject(row["prompt_id"], tuple(row["image_paths"] or ()), shown)

    def _reject(self, prompt_id: str, file: str | None, reason: str) -> None:
        self.tally.drop(reason)
        self.rejected.append({"prompt_id": prompt_id, "file": file, "reason": reason})


def draw_corpus(prompts: Path, settings: DrawSettings, root: Path, tables: ImageTables, workers: int) -> Report:
    """Draw the images of every prompt.

    Args:
        prompts: prompts.parquet.
        settings: where the images come from, how large and how many they may be.
        root: the checkout: images go to its cache.
        tables: where the tables go.
        workers: processes that draw; the tables do not depend on their number.

    Raises:
        WinnowError: if a folder is missing, or nothing says where images come from.
    """
    check_folders(settings)
    work = _Work(prompts, settings, root, workers)
    write_table(tables.images, work.rows(), IMAGES, ["prompt_id", "number"])
    write_table(tables.rejected, work.rejected, IMAGES_REJECTED, ["prompt_id"])
    counts = work.tally.as_dict()
    log(
        f"{settings.kind}s of {counts['kept']:,} of {counts['read']:,} prompts: {work.images:,};"
        f" {work.from_cache:,} prompts from the cache; without images: {counts['dropped'] or 'none'}"
    )
    return Report({"prompts": counts, "images": work.images}, work.sources.hexdigest())
