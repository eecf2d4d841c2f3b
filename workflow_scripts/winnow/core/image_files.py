"""Files of images: the one folder in which they may lie.

`cache/images/<xx>/<sha256 of the bytes>.png`, relative to the checkout. The cache is no output of a rule, so
whoever opens an image asks here first.
"""

from pathlib import Path

from winnow.core.errors import WinnowError

IMAGES_FOLDER = Path("cache/images")
REMEDY = "draw the images again: snakemake --forcerun draw_images"


def image_file(path: str) -> Path:
    """Return the file of an image, relative to the checkout.

    Args:
        path: as in the images table.

    Raises:
        WinnowError: if the path leads out of cache/images, by itself or by a link, or no file is there.
    """
    file = Path(path)
    if file.is_absolute() or ".." in file.parts or not file.resolve().is_relative_to(IMAGES_FOLDER.resolve()):
        raise WinnowError(path, f"leads out of {IMAGES_FOLDER}", "images are read from that folder alone")
    if not file.is_file():
        raise WinnowError(path, "there is no such image", REMEDY)
    return file
