"""Where on a page its embedded images and vector graphics are, by their ink.

LaTeX embeds a figure as an image or, if it is a vector graphic, as a form (a page within the page). Each is drawn
alone, and the box of its ink is its place: the bounds that a PDF states for a form are often far larger.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from winnow.corpus.pdf import Box, draw, pdfium

MANY_STROKES = 30  # of the page's own: more than the rules of most tables
MANY_OBJECTS = 64  # tiles of one picture rather than figures: they are measured together
WRAPPER_SHARE = 0.95  # of a page's ink: a form that holds the whole page, as some tools make
_MEASURED_PIXELS = 1_000_000  # a Letter page at 72 dpi has half as many
_PAPER = 250  # grey levels from here on are paper, not ink


class Drawing(NamedTuple):
    """An embedded object: where its ink is, what it looks like there, and how fine it is."""

    box: Box
    ink_sha256: str
    pixels_per_point: float | None  # of an image; null for a vector graphic, which is as fine as one likes


def embedded_drawings(page: Any, notes: Counter[str], *, is_figure: Callable[[Box], bool]) -> list[Drawing]:
    """Find the images and forms of a page; those without ink are left out.

    Args:
        page: pypdfium2's PdfPage; it is as it was when this returns.
        notes: counts pages that may have figures which are not embedded.
        is_figure: whether a box is as large as a figure.
    """
    raw = pdfium().raw
    objects = list(page.get_objects(max_depth=1))
    if sum(found.type == raw.FPDF_PAGEOBJ_PATH for found in objects) >= MANY_STROKES:
        notes["page with many strokes of its own: a figure made of them is missed"] += 1
    embedded = _embedded(objects)
    if not embedded:
        return []
    whole = _ink(page)
    with _showing(objects, shown=False):
        if len(embedded) > MANY_OBJECTS:
            with _showing(embedded, shown=True):
                together = _ink(page)
            return [] if together is None else [together]
        drawings: list[Drawing] = []
        for found in embedded:
            with _showing([found], shown=True):
                drawing = _fineness(_ink(page), found)
                if drawing is None or whole is None:
                    continue
                is_wrapper = found.type == raw.FPDF_PAGEOBJ_FORM and _share(drawing, whole) >= WRAPPER_SHARE
                drawings += (is_wrapper and _unwrapped(page, found, is_figure)) or [drawing]
    return drawings


def _unwrapped(page: Any, form: Any, is_figure: Callable[[Box], bool]) -> list[Drawing]:
    """Return the images and forms as large as a figure within a form that holds the whole page."""
    inside = list(page.get_objects(max_depth=1, form=form))
    found = []
    with _showing(inside, shown=False):
        for one in _embedded(inside)[:MANY_OBJECTS]:
            with _showing([one], shown=True):
                drawing = _fineness(_ink(page), one)
            if drawing is not None and is_figure(drawing.box):
                found.append(drawing)
    return found


def _embedded(objects: Iterable[Any]) -> list[Any]:
    raw = pdfium().raw
    return [found for found in objects if found.type in {raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_FORM}]


@contextmanager
def _showing(objects: list[Any], *, shown: bool) -> Iterator[None]:
    """Show objects or hide them, and do the contrary afterwards."""
    _show(objects, shown=shown)
    try:
        yield
    finally:
        _show(objects, shown=not shown)


def _show(objects: list[Any], *, shown: bool) -> None:
    set_active = pdfium().raw.FPDFPageObj_SetIsActive
    for found in objects:
        set_active(found, shown)


def _ink(page: Any) -> Drawing | None:
    """Return where a page, with what is hidden of it, is not white, or None."""
    width, height = page.get_size()
    scale = min(1.0, math.sqrt(_MEASURED_PIXELS / max(1.0, width * height)))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = draw(page, (0.0, 0.0, width, height), size)
    box = image.convert("L").point(lambda level: 255 if level < _PAPER else 0).getbbox()
    if box is None:
        return None
    across, down = width / size[0], height / size[1]
    place = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
    return Drawing(place, hashlib.sha256(image.tobytes()).hexdigest(), None)


def _fineness(drawing: Drawing | None, found: Any) -> Drawing | None:
    """Return the drawing of an image with how many pixels the image has for each point."""
    if drawing is None or found.type != pdfium().raw.FPDF_PAGEOBJ_IMAGE:
        return drawing
    width, height = found.get_px_size()
    # By area, so that it does not matter how the image is turned.
    return drawing._replace(pixels_per_point=math.sqrt(width * height / _area(drawing.box)))


def _share(drawing: Drawing, whole: Drawing) -> float:
    return _area(drawing.box) / _area(whole.box)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
