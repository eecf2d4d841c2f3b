"""The figures of a PDF: what a page embeds, joined where it belongs together, drawn with the labels that stand on it.

Drawings that nearly touch are one figure: panels, slices of a picture, a legend.
Missed are figures drawn by the page's own strokes (TikZ without a form); pages with many such strokes are counted.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from winnow.corpus.fitting import fitted_size
from winnow.corpus.pdf import Box, draw
from winnow.corpus.pdf_drawings import Drawing, embedded_drawings

if TYPE_CHECKING:
    from PIL.Image import Image

GAP = 30.0  # points; a caption between two figures takes more, the letter under a panel less
SMALLEST_SIDE = 36.0  # points: half an inch
SMALLEST_SHARE = 0.01  # of the page: larger than a logo, smaller than any figure one would refer to
LARGEST_SHARE = 0.85  # of the page: a scan or a background
FURNITURE_PAGES = 3  # the same ink at the same place on as many pages is a logo or a watermark
MAX_PAGES = 100  # further ones are not searched


class Figure(NamedTuple):
    """Drawings that belong together."""

    page: int
    box: Box
    pixels_per_point: float | None  # of the finest image among them; null if one is a vector graphic


def figure_images(
    document: Any, notes: Counter[str], *, max_pixels: int, min_pixels: int, max_images: int
) -> Iterator["Image"]:
    """Draw the figures of a PDF in the order of pages, from top to bottom, from left to right.

    Args:
        document: from `pdf.opened`.
        notes: counts what was left out and what may have been missed.
        max_pixels: the most that a figure may have; a vector graphic has as many.
        min_pixels: see `fitted_size`.
        max_images: that many are drawn.

    Yields:
        Each figure in RGB, none twice.

    Raises:
        UnusableError: if a figure has an odd shape.
    """
    seen: set[bytes] = set()
    for page_number, box, density in _figures(document, notes):
        width, height = box[2] - box[0], box[3] - box[1]
        if density is None:
            size = fitted_size(width, height, max_pixels=max_pixels, min_pixels=min_pixels, enlarge=True)
        else:
            width, height = max(1.0, width * density), max(1.0, height * density)
            size = fitted_size(width, height, max_pixels=max_pixels, min_pixels=min_pixels, enlarge=False)
        page = document[page_number]
        image = draw(page, box, size)
        page.close()
        digest = hashlib.sha256(image.tobytes()).digest()
        if digest in seen:
            notes["figure shown before"] += 1
        elif len(seen) == max_images:
            notes["figures beyond max_images"] += 1
        else:
            seen.add(digest)
            yield image


def _figures(document: Any, notes: Counter[str]) -> list[Figure]:
    """Find the figures of a document, in order."""
    count = min(len(document), MAX_PAGES)
    if len(document) > count:
        notes[f"pages after page {MAX_PAGES}, not searched for figures"] += len(document) - count
    sizes, drawings = [], []
    for number in range(count):
        page = document[number]
        sizes.append(page.get_size())
        drawings.append(embedded_drawings(page, notes, is_figure=lambda box: _why_none(box, sizes[-1]) is None))
        page.close()
    pages_with = Counter(sha for found in drawings for sha in {drawing.ink_sha256 for drawing in found})
    furniture = {sha for sha, pages in pages_with.items() if pages >= FURNITURE_PAGES}
    figures = []
    for number, found in enumerate(drawings):
        kept = [drawing for drawing in found if drawing.ink_sha256 not in furniture]
        if len(kept) < len(found):
            notes["logos, watermarks and the like"] += len(found) - len(kept)
        for figure in _joined(number, kept):
            reason = _why_none(figure.box, sizes[number])
            if reason is None:
                figures.append(Figure(number, _padded(figure.box, sizes[number]), figure.pixels_per_point))
            else:
                notes[reason] += 1
    return figures


def _why_none(box: Box, page_size: tuple[float, float]) -> str | None:
    width, height = box[2] - box[0], box[3] - box[1]
    share = width * height / (page_size[0] * page_size[1])
    if min(width, height) < SMALLEST_SIDE or share < SMALLEST_SHARE:
        return "drawing smaller than a figure"
    return "picture of a whole page" if share > LARGEST_SHARE else None


def _padded(box: Box, page_size: tuple[float, float]) -> Box:
    """Return a box with a margin of a point, since ink is measured to about one."""
    return max(0.0, box[0] - 1), max(0.0, box[1] - 1), min(page_size[0], box[2] + 1), min(page_size[1], box[3] + 1)


def _joined(page: int, drawings: Sequence[Drawing]) -> list[Figure]:
    """Join drawings of one page that are at most `GAP` apart, until none are."""
    figures: list[Figure] = []
    for drawing in drawings:
        new = Figure(page, drawing.box, drawing.pixels_per_point)
        while near := [figure for figure in figures if _are_near(figure.box, new.box)]:
            figures = [figure for figure in figures if figure not in near]
            parts = [new, *near]
            lefts, tops, rights, bottoms = zip(*(part.box for part in parts), strict=True)
            densities = [part.pixels_per_point for part in parts if part.pixels_per_point is not None]
            density = max(densities) if len(densities) == len(parts) else None
            new = Figure(page, (min(lefts), min(tops), max(rights), max(bottoms)), density)
        figures.append(new)
    return sorted(figures, key=lambda figure: (round(figure.box[1]), figure.box[0]))


def _are_near(one: Box, other: Box) -> bool:
    return all(one[low] - GAP <= other[low + 2] and other[low] - GAP <= one[low + 2] for low in (0, 1))
