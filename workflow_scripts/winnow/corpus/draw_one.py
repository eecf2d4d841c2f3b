"""The images of one prompt, drawn or found in the cache. This runs in a process that may die of a damaged file."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from winnow.core.ids import canonical_json, sha256_text
from winnow.corpus import demo_images, image_files, pdf, pdf_figures
from winnow.corpus.fitting import UnusableError, fitted, png_bytes
from winnow.corpus.image_cache import ImageCache, Kept, image_key
from winnow.corpus.image_sources import DrawSettings, find_files

if TYPE_CHECKING:
    from PIL.Image import Image

Contents = Sequence[tuple[str, bytes]]  # name and bytes of each file


class Subject(NamedTuple):
    """A prompt to be drawn."""

    prompt_id: str
    named: tuple[str, ...]  # the PDF that its record names
    text: str | None  # of a synthetic prompt, whose pages are drawn from its text


class Drawn(NamedTuple):
    """What became of a prompt."""

    kept: Kept
    notes: Counter[str]  # of finding its files and of drawing them
    sources: tuple[str, ...]  # name and sha256 of each file that was read
    from_cache: bool


def draw_subject(subject: Subject, settings: DrawSettings, root: Path) -> Drawn:
    """Return the images of a prompt, or why it has none.

    Args:
        subject: the prompt.
        settings: where its files are and how they are drawn.
        root: the checkout, below which the cache lies.
    """
    notes: Counter[str] = Counter()
    contents: list[tuple[str, bytes]] = []
    is_pdf = False
    if subject.text is None:
        try:
            found = find_files(subject.prompt_id, subject.named, settings, notes)
            contents = [(name, path.read_bytes()) for name, path in found.files]
            is_pdf = found.is_pdf
        except UnusableError as error:
            return Drawn(Kept(file=error.file, reason=error.reason), notes, (), from_cache=False)
        except OSError:
            return Drawn(Kept(file=subject.prompt_id, reason="cannot be read"), notes, (), from_cache=False)
        sources = tuple(f"{name} {hashlib.sha256(data).hexdigest()}" for name, data in contents)
    else:
        sources = (f"{subject.prompt_id} {sha256_text(subject.text)}",)
    cache = ImageCache(root)
    key = image_key(sources, canonical_json([is_pdf, settings.what_shows]))
    kept = cache.get(key)
    from_cache = kept is not None
    if kept is None:
        try:
            kept = _draw(subject, contents, settings, cache, is_pdf=is_pdf)
        except MemoryError:
            # Not put into the cache: it says as much about the machine as about the file.
            return Drawn(Kept(file=subject.prompt_id, reason="needs too much memory"), notes, sources, from_cache=False)
        cache.put(key, kept)
    return Drawn(kept, notes + Counter(dict(kept.notes)), sources, from_cache)


def _draw(subject: Subject, contents: Contents, settings: DrawSettings, cache: ImageCache, *, is_pdf: bool) -> Kept:
    notes: Counter[str] = Counter()
    if subject.text is not None:
        images = _synthetic(subject.prompt_id, subject.text, settings)
    elif is_pdf:
        images = _from_pdf(*contents[0], settings, notes)
    else:
        images = _from_folder(contents, settings, notes)
    try:
        shown = tuple((cache.add(png_bytes(image)), *image.size) for image in images)
    except UnusableError as error:
        return Kept((), tuple(sorted(notes.items())), error.file, error.reason)
    return Kept(shown, tuple(sorted(notes.items())))


def _synthetic(prompt_id: str, text: str, settings: DrawSettings) -> Iterator["Image"]:
    """Draw a made-up figure, or the text as pages."""
    if settings.kind == "figure":
        images = iter([demo_images.chart(prompt_id)])
    else:
        images = demo_images.text_pages(text, settings.max_images)
    for image in images:
        yield fitted(image, max_pixels=settings.max_pixels, min_pixels=settings.min_pixels)


def _from_pdf(name: str, data: bytes, settings: DrawSettings, notes: Counter[str]) -> Iterator["Image"]:
    """Draw the pages or the figures of a PDF."""
    sizes = settings.model_dump(include={"max_pixels", "min_pixels", "max_images"})
    try:
        with pdf.opened(data) as document:
            if settings.kind == "page":
                yield from pdf.page_images(document, notes, anonymous=settings.anonymous_pages, **sizes)
                return
            count = 0
            for image in pdf_figures.figure_images(document, notes, **sizes):
                count += 1
                yield image
        if not count:
            raise UnusableError("no figures in the PDF")
    except UnusableError as error:
        raise UnusableError(error.reason, name) from None


def _from_folder(contents: Contents, settings: DrawSettings, notes: Counter[str]) -> Iterator["Image"]:
    for name, data in contents:
        try:
            image, changes = image_files.read_image(data)
            yield fitted(image, max_pixels=settings.max_pixels, min_pixels=settings.min_pixels)
        except UnusableError as error:
            raise UnusableError(error.reason, name) from None
        notes.update(changes)
