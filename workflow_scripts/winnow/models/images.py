"""The images that a model is shown: files of the image cache, named by what they hold, and nothing else."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from winnow.core.errors import WinnowError
from winnow.core.ids import sha256_file

CACHE = Path("cache/images")
_NAME = re.compile(rf"{CACHE}/([0-9a-f]{{2}})/(\1[0-9a-f]{{62}})\.png")
_AGAIN = "draw the images again: run snakemake with --forcerun draw_images"


def check_images(paths: Iterable[str], place: object) -> None:
    """Check that images lie in the image cache below the working directory and are what their names say.

    The cache is no output of a rule, so whoever reads it looks for itself. Each file is read once.

    Args:
        paths: relative to the working directory, as in the column `images`.
        place: the table that names them.

    Raises:
        WinnowError: naming the first path that leads elsewhere, is missing or holds something else.
    """
    root = CACHE.resolve()
    for path in sorted(set(paths)):
        name = _NAME.fullmatch(path)
        if name is None or not Path(path).resolve().is_relative_to(root):
            raise WinnowError(place, f"names the image {path!r}, which is no file of {CACHE}", "render the rows again")
        if not Path(path).is_file():
            raise WinnowError(path, f"is gone, and {place} needs it", _AGAIN)
        if sha256_file(Path(path)) != name[2]:
            raise WinnowError(path, "does not hold what its name says", f"delete it, and {_AGAIN}")


def image_size(path: str) -> tuple[int, int]:
    """Return an image's height and width in pixels, from its first bytes."""
    with Image.open(path) as image:
        return image.height, image.width


def open_images(paths: Sequence[str]) -> list[Any]:
    """Return images, decoded."""
    opened = []
    for path in paths:
        with Image.open(path) as image:
            image.load()
            opened.append(image)
    return opened
