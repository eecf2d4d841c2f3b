"""Papers as PDF, drawn by PDFium: the one place that starts it.

PDFium is not safe across threads, and a damaged file may end its process: callers draw in processes of their own.
"""

import ctypes
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from winnow.corpus.fitting import UnusableError, fitted_size
from winnow.corpus.pdf_leaks import hide_authors

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[float, float, float, float]  # left, top, right, bottom, in points from a page's upper left corner


@cache
def pdfium() -> ModuleType:
    """Return pypdfium2, started without the fonts of this machine.

    Text whose font is not embedded is drawn in the fonts that PDFium carries, so that a page looks the same on every
    machine. PDFium looks for fonts in the folders that it is given at its start, or in the system's if it is given no
    list; we give it an empty list, for which pypdfium2 has no setting (its _library_scope.py).
    """
    import pypdfium2  # noqa: PLC0415 - a library of several megabytes, only needed where PDFs are drawn
    from pypdfium2 import raw  # noqa: PLC0415

    raw.FPDF_DestroyLibrary()
    config = raw.FPDF_LIBRARY_CONFIG(version=2)
    no_folders = (type(config.m_pUserFontPaths)._type_ * 1)()
    config.m_pUserFontPaths = ctypes.cast(no_folders, type(config.m_pUserFontPaths))
    raw.FPDF_InitLibraryWithConfig(config)
    library: ModuleType = pypdfium2
    return library


@contextmanager
def opened(data: bytes) -> Iterator[Any]:
    """Open a PDF from its bytes.

    Yields:
        pypdfium2's PdfDocument, with one page or more.

    Raises:
        UnusableError: if it is empty, no PDF, damaged, locked by a password, or without pages; also if a page fails
            within the block.
    """
    if not data:
        raise UnusableError("empty file")
    library = pdfium()
    raw = library.raw
    # By hand: pypdfium2 asks for an error even where there is none, and PDFium then tells that of an earlier file.
    handle = raw.FPDF_LoadMemDocument64(data, len(data), None)
    if not handle:
        locked = raw.FPDF_GetLastError() in {raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY}
        raise UnusableError("encrypted PDF" if locked else "broken PDF")
    try:
        with library.PdfDocument(handle) as document:
            if not len(document):
                raise UnusableError("PDF without pages")
            yield document
    except library.PdfiumError:
        raise UnusableError("broken PDF") from None


def page_images(
    document: Any, notes: Counter[str], *, max_pixels: int, min_pixels: int, max_images: int, anonymous: bool
) -> Iterator["Image"]:
    """Draw the first pages of a PDF, as they are printed: no annotations, no link borders, no form fields.

    Args:
        document: from `opened`.
        notes: counts what is worth knowing.
        max_pixels: as large as that each page is drawn, in its own shape.
        min_pixels: see `fitted_size`.
        max_images: that many pages are drawn.
        anonymous: whether to paint over what gives a paper's authors or fate away (`pdf_leaks`).

    Yields:
        Each page in RGB.

    Raises:
        UnusableError: if a page has no area or an odd shape.
    """
    count = len(document)
    if count > max_images:
        notes["pages beyond max_images"] += count - max_images
    for number in range(min(count, max_images)):
        page = document[number]
        width, height = page.get_size()
        size = fitted_size(width, height, max_pixels=max_pixels, min_pixels=min_pixels, enlarge=True)
        image = draw(page, (0.0, 0.0, width, height), size)
        if anonymous:
            places = pdfium().PdfPosConv(page, (0, 0, *size, 0))
            hide_authors(image, page, places.to_bitmap, notes, first=number == 0)
        page.close()
        yield image


def draw(page: Any, box: Box, size: tuple[int, int]) -> "Image":
    """Draw a part of a page on white.

    Args:
        page: pypdfium2's PdfPage.
        box: the part.
        size: width and height in pixels that it fills exactly.
    """
    library = pdfium()
    left, top, right, bottom = box
    across, down = size[0] / (right - left), size[1] / (bottom - top)
    width, height = page.get_size()
    place = (round(-left * across), round(-top * down), round(width * across), round(height * down), 0)
    bitmap = library.PdfBitmap.new_native(*size, library.raw.FPDFBitmap_BGR)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, *size)
    library.raw.FPDF_RenderPageBitmap(bitmap, page, *place, 0)  # 0: not even FPDF_ANNOT
    image: Image = bitmap.to_pil().convert("RGB")
    bitmap.close()
    return image
