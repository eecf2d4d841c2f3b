"""What on a drawn page gives a paper's authors or fate away, painted white: the rules of `papers`, for pixels."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from winnow.corpus.papers import ABSTRACT, LINK, leaks

if TYPE_CHECKING:
    from PIL.Image import Image

Span = tuple[int, int]  # of characters, end exclusive

_THANKS = re.compile(r"^[ \t0-9.]*(?:acknowledge?ments?|author contributions?|funding)[:. \t]*$", re.IGNORECASE)
# References, or an appendix: "A PROOFS".
_AFTER_THANKS = re.compile(r"^[ \t0-9.]*(?:(?i:references|bibliography|appendi\w*)[:. \t]*$|[A-Z]\.?[ \t]+[A-Z]{2})")


def hide_authors(
    image: "Image",
    page: Any,
    to_bitmap: Callable[[float, float], tuple[int, int]],
    notes: Counter[str],
    *,
    first: bool,
) -> None:
    """Paint over authors, thanks, links and lines that tell the state of review ("Published as ...").

    On the first page all above the heading "Abstract" goes, as in the text: title, authors, affiliations. The title is
    shown to the model as text. Text that is part of a picture, as in a scan, is not seen.

    Args:
        image: the drawn page; it is changed.
        page: pypdfium2's PdfPage of it.
        to_bitmap: from the page's units to pixels of the image.
        notes: counts what was done, and a first page on which no heading "Abstract" was found.
        first: whether it is the paper's first page.
    """
    from PIL import ImageDraw  # noqa: PLC0415 - Pillow is only needed where images are drawn

    textpage = page.get_textpage()
    text = _text(textpage)
    paint = ImageDraw.Draw(image)
    if first:
        heading = ABSTRACT.search(text)
        if heading is None:
            notes["first page without a heading Abstract: authors may show"] += 1
        else:
            top = min(box[1] for box in _boxes(textpage, heading.span(), to_bitmap))
            paint.rectangle((0, 0, image.width, top - 2), fill=(255, 255, 255))
    found = 0
    for span in _leaking_spans(text):
        for box in _boxes(textpage, span, to_bitmap):
            paint.rectangle(box, fill=(255, 255, 255))
        found += 1
    if found:
        notes["lines and links painted over"] += found
    textpage.close()


def _text(textpage: Any) -> str:
    """Return a page's text, one character for each of PDFium's, so that places in it are PDFium's.

    FPDFText_GetText would be one call, but leaves characters out.
    """
    from pypdfium2 import raw  # noqa: PLC0415 - see hide_authors

    codes = (raw.FPDFText_GetUnicode(textpage, index) for index in range(textpage.count_chars()))
    return "".join(chr(code) if code < 0x110000 else "\0" for code in codes).replace("\r", " ")


def _leaking_spans(text: str) -> Iterator[Span]:
    thanks = False
    place = 0
    for line in text.split("\n"):
        thanks = bool(_THANKS.match(line)) or (thanks and not _AFTER_THANKS.match(line))
        if line and (thanks or leaks(line)):
            yield place, place + len(line)
        place += len(line) + 1
    yield from (match.span() for match in LINK.finditer(text))


def _boxes(
    textpage: Any, span: Span, to_bitmap: Callable[[float, float], tuple[int, int]]
) -> list[tuple[int, int, int, int]]:
    """Return where some characters stand in the image, a pixel larger on each side."""
    boxes = []
    for index in range(textpage.count_rects(span[0], span[1] - span[0])):
        left, bottom, right, top = textpage.get_rect(index)
        # Which corner is which depends on how the page is turned.
        (x1, y1), (x2, y2) = to_bitmap(left, bottom), to_bitmap(right, top)
        boxes.append((min(x1, x2) - 1, min(y1, y2) - 1, max(x1, x2) + 1, max(y1, y2) + 1))
    return boxes
