"""Where drawn images lie, and how a step that reads them makes sure of them.

`images/{modality}.parquet` of a corpus names files as `cache/images/<xx>/<sha256 of the bytes>.png`, relative to the
checkout. Snakemake does not know these files, so that a deleted cache is only seen by who reads it.
"""

import re
from pathlib import Path

from winnow.core.errors import WinnowError

IMAGE_CACHE = Path("cache/images")
REMEDY = "run again with --forcerun draw_images"

_PATH = re.compile(rf"{IMAGE_CACHE.as_posix()}/(?P<head>[0-9a-f]{{2}})/(?P=head)[0-9a-f]{{62}}\.png", re.ASCII)


def image_path(sha256: str) -> str:
    """Return the path, relative to the checkout, of the image with these bytes."""
    return f"{IMAGE_CACHE.as_posix()}/{sha256[:2]}/{sha256}.png"


def image_file(path: str, root: Path = Path()) -> Path:
    """Return the file of an image that a table names.

    Args:
        path: as in a table: relative to the checkout, with `/`.
        root: the checkout.

    Raises:
        WinnowError: if the path is none of the cache's, if the file lies elsewhere by a link, or is not there.
    """
    if _PATH.fullmatch(path) is None:
        raise WinnowError(path, f"is no image of {IMAGE_CACHE}", "images outside the cache are never read")
    file, cache = root / path, (root / IMAGE_CACHE).resolve()
    if not file.is_file():
        raise WinnowError(path, "is named in a table and is gone", REMEDY)
    if not file.resolve().is_relative_to(cache):
        raise WinnowError(path, f"is a link to a file outside {IMAGE_CACHE}", f"remove it and {REMEDY}")
    return file
