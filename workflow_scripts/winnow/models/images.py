"""The images that a model is shown: files of the image cache, named by what they hold, and nothing else."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image

from winnow.core.errors import WinnowError
from winnow.core.ids import sha256_file
from winnow.core.images import REMEDY, image_file
from winnow.core.tables import read_rows


def check_images(paths: Iterable[str]) -> None:
    """Check that images lie in the image cache below the working directory and are what their names say.

    Each file is read once, however often it is named.

    Args:
        paths: relative to the working directory, as in the column `images`.

    Raises:
        WinnowError: naming the first path that leads elsewhere, is missing or holds something else.
    """
    for path in sorted(set(paths)):
        file = image_file(path)
        if sha256_file(file) != file.stem:
            raise WinnowError(path, "does not hold what its name says", f"delete it and {REMEDY}")


def check_table(table: Path, *, shown: bool) -> None:
    """Check that a rendered table has images where the model is shown some, and that they are what was rendered.

    Raises:
        WinnowError: if not.
    """
    if ("images" in pq.read_schema(table).names) != shown:
        said = "shows images" if shown else "shows no images"
        raise WinnowError(table, f"does not go with a modality that {said}", "give the table of that modality")
    if shown:
        rows = [row["images"] for row in read_rows(table, ["images"])]
        if not all(rows):
            raise WinnowError(table, "has a row that shows no image", "render the rows again, which leaves it out")
        check_images(path for paths in rows for path in paths)


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
