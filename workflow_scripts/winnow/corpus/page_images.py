"""Plain pages of text as PNG files, equal bytes for equal text; for the demo corpus only."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

PAGE_PIXELS = (512, 640)
_MARGIN, _LINE_PIXELS = 24, 12
_COLUMNS = (PAGE_PIXELS[0] - 2 * _MARGIN) // 6  # the built-in font is 6 pixels wide
_LINES = (PAGE_PIXELS[1] - 2 * _MARGIN) // _LINE_PIXELS


def _pages(text: str) -> Iterator[str]:
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, _COLUMNS) or [""]]
    for start in range(0, len(lines), _LINES):
        yield "\n".join(lines[start : start + _LINES])


def render_pages(text: str, folder: Path) -> list[Path]:
    """Draw a text in black on white, page by page, and return the files `page_001.png`, ... in order.

    Pillow's own bitmap font is used, whatever fonts a machine has; it knows Latin-1 and shows other signs as "?".
    """
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - only image output needs Pillow

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    font = ImageFont.load_default_imagefont()
    for number, page in enumerate(_pages(text), 1):
        image = Image.new("L", PAGE_PIXELS, 255)
        plain = page.encode("latin-1", "replace").decode("latin-1")
        ImageDraw.Draw(image).multiline_text((_MARGIN, _MARGIN), plain, 0, font, spacing=1)
        files.append(folder / f"page_{number:03d}.png")
        image.save(files[-1], optimize=False)
    return files
