"""How many tokens LLaMA-Factory makes of an image, so that its cutoff_len cuts none.

It first shrinks or enlarges an image to image_max_pixels and image_min_pixels (_preprocess_image of
src/llamafactory/data/mm_plugin.py, cut to whole pixels, then at least 28 each way), then leaves it to the
model's own processor (smart_resize of transformers, with the limits of Qwen2.5-VL's preprocessor_config.json),
which rounds each side to the nearest 28. Winnow and TRL give the processor the limits instead, and it rounds down.
"""

import math
from collections.abc import Iterable
from functools import cache

from winnow.core.images import image_file
from winnow.core.tables import Row
from winnow.datasets.export_tables import Pixels, RenderedTable
from winnow.models.images import image_size

FACTOR = 28
PROCESSOR_LIMITS = Pixels(max_pixels=12_845_056, min_pixels=3_136)


@cache
def _size(path: str) -> tuple[int, int]:
    """Return width and height of an image of the cache, in pixels."""
    height, width = image_size(str(image_file(path)))
    return width, height


def _scaled(width: int, height: int, pixels: int) -> tuple[int, int]:
    factor = math.sqrt(pixels / (width * height))
    return int(width * factor), int(height * factor)


def _smart_resize(width: int, height: int, limits: Pixels) -> tuple[int, int]:
    sides = [round(side / FACTOR) * FACTOR for side in (width, height)]
    if sides[0] * sides[1] > limits.max_pixels:
        beta = math.sqrt(width * height / limits.max_pixels)
        sides = [max(FACTOR, math.floor(side / beta / FACTOR) * FACTOR) for side in (width, height)]
    elif sides[0] * sides[1] < limits.min_pixels:
        beta = math.sqrt(limits.min_pixels / (width * height))
        sides = [math.ceil(side * beta / FACTOR) * FACTOR for side in (width, height)]
    return sides[0], sides[1]


def image_tokens(width: int, height: int, pixels: Pixels) -> int:
    """Return the tokens of an image of so many pixels under LLaMA-Factory's template qwen2_vl."""
    if width * height > pixels.max_pixels:
        width, height = _scaled(width, height, pixels.max_pixels)
    if width * height < pixels.min_pixels:
        width, height = _scaled(width, height, pixels.min_pixels)
    width, height = _smart_resize(max(width, FACTOR), max(height, FACTOR), PROCESSOR_LIMITS)
    return (width // FACTOR) * (height // FACTOR)


def _rendered_tokens(width: int, height: int, pixels: Pixels) -> int:
    """Return the tokens of an image as the rendered tables count them."""
    width, height = _smart_resize(width, height, pixels)
    return (width // FACTOR) * (height // FACTOR)


def _tokens(row: Row, table: RenderedTable, pixels: Pixels) -> int:
    sizes = [_size(path) for path in row["images"]]
    other = (image_tokens(*size, pixels) - _rendered_tokens(*size, pixels) for size in sizes)
    return table.tokens(row) + sum(other)


def cutoff_of(tables: Iterable[RenderedTable], context: int) -> int:
    """Return the cutoff_len of a run: the context, or where images make a row longer in LLaMA-Factory, that length.

    Args:
        tables: what the run trains and is evaluated on.
        context: of its modality.
    """
    longest = [context]
    for table in tables:
        if (pixels := table.pixels) is not None:
            longest += (_tokens(row, table, pixels) for row in table.rows())
    return max(longest)
