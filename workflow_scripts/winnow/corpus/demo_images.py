"""Images for the synthetic corpus: its text as pages, and a made-up chart. Equal words give equal pixels everywhere."""

import random
import textwrap
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

PAGE_PIXELS = (392, 560)  # 14 and 20 patches of 28 pixels: a vision model's processor leaves it as it is
CHART_PIXELS = (280, 196)
_MARGIN, _LINE_PIXELS = 22, 12
_COLUMNS = (PAGE_PIXELS[0] - 2 * _MARGIN) // 6  # the built-in font is 6 pixels wide
_LINES = (PAGE_PIXELS[1] - 2 * _MARGIN) // _LINE_PIXELS
_BARS = ((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189), (140, 86, 75))


def text_pages(text: str, max_images: int) -> Iterator["Image"]:
    """Draw a text in black on white, page by page; at most `max_images` of them."""
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, _COLUMNS) or [""]]
    for start in islice(range(0, len(lines), _LINES), max_images):
        image = _paper(PAGE_PIXELS)
        _write(image, (_MARGIN, _MARGIN), "\n".join(lines[start : start + _LINES]))
        yield image


def chart(prompt_id: str) -> "Image":
    """Draw a bar chart whose numbers follow from the prompt's id."""
    from PIL import ImageDraw  # noqa: PLC0415 - Pillow is only needed where images are drawn

    rng = random.Random(f"{prompt_id}/chart")
    width, height = CHART_PIXELS
    image = _paper(CHART_PIXELS)
    paint = ImageDraw.Draw(image)
    bars = rng.randint(3, len(_BARS))
    left, floor, ceiling = 34, height - 24, 28
    _write(image, (left, 8), f"Synthetic results of {prompt_id}")
    for step in range(5):
        y = floor - step * (floor - ceiling) // 4
        paint.line((left, y, width - 10, y), fill=(210, 210, 210))
        _write(image, (8, y - 5), f"{25 * step:3d}")
    room = (width - 10 - left) // bars
    for number in range(bars):
        x, value = left + number * room + room // 5, rng.randint(8, 98)
        paint.rectangle((x, floor - value * (floor - ceiling) // 100, x + 3 * room // 5, floor), fill=_BARS[number])
        _write(image, (x + room // 5, floor + 6), "ABCDEF"[number])
    paint.line((left, ceiling, left, floor, width - 10, floor), fill=(0, 0, 0))
    return image


def _paper(size: tuple[int, int]) -> "Image":
    from PIL import Image  # noqa: PLC0415 - see chart

    return Image.new("RGB", size, (255, 255, 255))


def _write(image: "Image", place: tuple[int, int], text: str) -> None:
    """Write in Pillow's own bitmap font, whatever fonts a machine has; it has Latin-1 and shows other signs as "?"."""
    from PIL import ImageDraw, ImageFont  # noqa: PLC0415 - see chart

    plain = text.encode("latin-1", "replace").decode("latin-1")
    ImageDraw.Draw(image).multiline_text(place, plain, (0, 0, 0), ImageFont.load_default_imagefont(), spacing=1)
