"""Drawn images on disk, found again by what they were drawn from.

    cache/images/<xx>/<sha256 of its bytes>.png        an image
    cache/images/keys/<xx>/<key>.json                  what one set of source files gave: its images, in order

Every file is renamed in when it is whole, and its bytes are checked against its name before it is used, so that a file
that a full disk, a kill or a person left behind is drawn again.
"""

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from winnow.core.errors import WinnowError
from winnow.core.files import read_json, replacing, write_json
from winnow.core.ids import content_key, sha256_file
from winnow.core.images import IMAGE_CACHE, image_path

# What decides an image's pixels: these files, and these libraries.
_CODE = (
    "demo_images",
    "draw_one",
    "fitting",
    "image_files",
    "papers",
    "pdf",
    "pdf_drawings",
    "pdf_figures",
    "pdf_leaks",
)
SOFTWARE = ("pillow", "pypdfium2")


class Kept(NamedTuple):
    """What source files gave: images (sha256, width, height) in order and notes, or the file that failed and why."""

    images: tuple[tuple[str, int, int], ...] = ()
    notes: tuple[tuple[str, int], ...] = ()
    file: str | None = None
    reason: str | None = None


@cache
def _made_by() -> str:
    code = [sha256_file(Path(__file__).with_name(f"{name}.py")) for name in _CODE]
    return content_key([*code, *(version(name) for name in SOFTWARE)])


def image_key(sources: Iterable[str], settings: str) -> str:
    """Return the key of what some sources give: names and hashes of the sources, settings, code and libraries."""
    return content_key([*sources, settings, _made_by()])


class ImageCache:
    """The cache of one checkout. Several processes may use it at once: they write equal files."""

    def __init__(self, root: Path) -> None:
        """Take over the cache below a checkout."""
        self.root = root

    def get(self, key: str) -> Kept | None:
        """Return what is kept under a key, or None if it is not there whole."""
        try:
            entry = read_json(self._entry(key))
            kept = Kept(
                tuple((str(sha), int(width), int(height)) for sha, width, height in entry["images"]),
                tuple((str(note), int(count)) for note, count in entry["notes"]),
                entry["file"],
                entry["reason"],
            )
            whole = all(sha256_file(self.root / image_path(sha)) == sha for sha, _, _ in kept.images)
        except (OSError, WinnowError, ValueError, KeyError, TypeError):
            return None
        return kept if whole else None

    def put(self, key: str, kept: Kept) -> None:
        """Keep an entry; its images must be there."""
        write_json(self._entry(key), kept._asdict())

    def add(self, png: bytes) -> str:
        """Keep an image and return its sha256."""
        sha256 = hashlib.sha256(png).hexdigest()
        file = self.root / image_path(sha256)
        if not file.is_file() or file.read_bytes() != png:
            with replacing(file) as part:
                part.write_bytes(png)
        return sha256

    def _entry(self, key: str) -> Path:
        return self.root / IMAGE_CACHE / "keys" / key[:2] / f"{key}.json"
