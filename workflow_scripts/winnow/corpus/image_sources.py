"""Which files of a corpus's folders a prompt's images come from. No file outside these folders is ever opened."""

import re
import stat
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple, Self

from pydantic import model_validator

from winnow.core.config.base import Positive, Settings
from winnow.core.errors import WinnowError
from winnow.corpus.fitting import UnusableError

MAX_FILE_BYTES = 500_000_000
_DIGITS = re.compile(r"(\d+)")


class DrawSettings(Settings):
    """What the images of one corpus are drawn from, for one modality, and how large and how many they may be."""

    adapter: Literal["openreview", "jsonl", "demo"]
    modality: Literal["clean_images", "vision"]
    pdfs: str | None = None
    figures: str | None = None
    pages: str | None = None
    anonymous_pages: bool = True
    max_pixels: Positive
    min_pixels: Positive
    max_images: Positive

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.min_pixels > self.max_pixels:
            raise ValueError("min_pixels is above max_pixels")
        return self

    @property
    def folder(self) -> str | None:
        """The folder of images of this modality."""
        return self.pages if self.modality == "vision" else self.figures

    @property
    def kind(self) -> Literal["figure", "page"]:
        """What its images show."""
        return "page" if self.modality == "vision" else "figure"

    def portable(self) -> dict[str, Any]:
        """Return the settings for a manifest: folders by name alone, since where they lie makes no difference."""
        folders = {key: Path(value).name for key in ("pdfs", "figures", "pages") if (value := getattr(self, key))}
        return self.model_dump(mode="json") | folders

    @property
    def what_shows(self) -> dict[str, Any]:
        """The settings that decide how given files are drawn, but not where these lie."""
        names = {"max_pixels", "min_pixels", "max_images", "anonymous_pages"}
        return {"kind": self.kind, **self.model_dump(include=names)}


class Found(NamedTuple):
    """The files of one prompt: one PDF, or images in order. Names are relative to the corpus's folder."""

    is_pdf: bool
    files: tuple[tuple[str, Path], ...]


def check_folders(settings: DrawSettings) -> None:
    """Check that there is something to draw from, before any work.

    Raises:
        WinnowError: naming the key of the corpus.
    """
    if settings.adapter == "demo":
        return
    key = "pages" if settings.modality == "vision" else "figures"
    if settings.folder is None and settings.pdfs is None:
        problem = f"neither pdfs nor {key} is set, and the modality {settings.modality} shows {settings.kind}s"
        raise WinnowError("keys of the corpus", problem, f"set pdfs or {key}, or leave that modality out")
    for name, folder in ((key, settings.folder), ("pdfs", settings.pdfs)):
        if folder is not None and not Path(folder).is_dir():
            raise WinnowError(f"key {name} of the corpus", f"{folder}: there is no such folder", "correct the path")


def find_files(prompt_id: str, named: Sequence[str], settings: DrawSettings, notes: Counter[str]) -> Found:
    """Find the files of a prompt: its folder of images if it has one, else its PDF.

    Args:
        prompt_id: names folder and PDF.
        named: the PDF that the prompt's record names, below the folder of PDFs; empty if it names none.
        settings: the folders.
        notes: counts files that are not read.

    Raises:
        UnusableError: if there are none, or they lie outside the corpus's folders.
    """
    if settings.folder is not None:
        place = _inside(Path(settings.folder), _file_name(prompt_id))
        if place is not None:
            return Found(is_pdf=False, files=_image_files(Path(settings.folder), place, prompt_id, settings, notes))
    if settings.pdfs is None:
        raise UnusableError("no folder of images", prompt_id)
    name = named[0] if named else f"{_file_name(prompt_id)}.pdf"
    file = _inside(Path(settings.pdfs), name)
    if file is None:
        raise UnusableError("no PDF", name)
    _require_file(file, name)
    return Found(is_pdf=True, files=((name, file),))


def _file_name(prompt_id: str) -> str:
    """Return a prompt's id if a file can have it as its name.

    Raises:
        UnusableError: if it has a separator, a zero, dots alone, or is too long for file systems, ending included.
    """
    bad = prompt_id in {"", ".", ".."} or any(sign in prompt_id for sign in "/\\\0")
    if bad or len(prompt_id.encode("utf-8", "replace")) > 250:
        raise UnusableError("its id is no file name")
    return prompt_id


def _inside(folder: Path, name: str) -> Path | None:
    """Return the real path of something below a folder, or None if it is not there.

    Raises:
        UnusableError: if the name, or a link on the way, leads out of the folder.
    """
    pure = PurePosixPath(name)
    if "\0" in name or "\\" in name or pure.is_absolute() or ".." in pure.parts:
        raise UnusableError("outside the folder", name)
    try:
        real, home = (folder / pure).resolve(), folder.resolve()
        if not real.is_relative_to(home) or real == home:
            raise UnusableError("outside the folder", name)
        return real if real.exists() else None
    except (OSError, RuntimeError, UnicodeError):  # links that go round, names that no file system takes
        raise UnusableError("cannot be looked up", name) from None


def _image_files(
    folder: Path, place: Path, prompt_id: str, settings: DrawSettings, notes: Counter[str]
) -> tuple[tuple[str, Path], ...]:
    if not place.is_dir():
        raise UnusableError("not a folder", prompt_id)
    names = sorted((entry.name for entry in place.iterdir()), key=_by_number)
    shown = [name for name in names if not name.startswith(".")]
    if len(shown) < len(names):
        notes["hidden files, not read"] += len(names) - len(shown)
    if not shown:
        raise UnusableError("empty folder", prompt_id)
    if len(shown) > settings.max_images:
        notes["images beyond max_images"] += len(shown) - settings.max_images
    found = []
    for name in shown[: settings.max_images]:
        label = f"{prompt_id}/{name}"
        file = _inside(folder, label)
        if file is None:
            raise UnusableError("a link to nothing", label)
        _require_file(file, label)
        found.append((label, file))
    return tuple(found)


def _by_number(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return what puts page_2 before page_10; ties go by the name itself."""
    parts = _DIGITS.split(name)
    return [(int(part), "") if at % 2 else (0, part) for at, part in enumerate(parts)], name


def _require_file(file: Path, name: str) -> None:
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UnusableError("not a file", name)
    if status.st_size > MAX_FILE_BYTES:
        raise UnusableError(f"more than {MAX_FILE_BYTES:,} bytes", name)
