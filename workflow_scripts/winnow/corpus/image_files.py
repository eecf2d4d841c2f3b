"""One image file from a folder, made RGB; whatever is wrong with it becomes a reason."""

import io
import struct
import warnings
import zlib
from typing import TYPE_CHECKING

from winnow.corpus.fitting import UnusableError

if TYPE_CHECKING:
    from PIL.Image import Image

# Pillow's readers for these are plain decoders. Others run programs (EPS) or read other files.
KINDS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM")
MAX_SOURCE_PIXELS = 100_000_000  # 10,000 squared, 300 MB as RGB; a page scanned at 600 dpi has 34 million

_WHITE = (255, 255, 255)
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")


def read_image(data: bytes) -> tuple["Image", list[str]]:
    """Decode an image.

    Args:
        data: the bytes of the file.

    Returns:
        The image as RGB on white, and notes of what was changed on the way.

    Raises:
        UnusableError: if it is of another kind, damaged, cut short, without area, or too large to be decoded safely.
    """
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - only needed where images are drawn

    if not data:
        raise UnusableError("empty file")
    try:
        # Our own limit is the lower one; Pillow's warning would only repeat it, its error is the same reason.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=KINDS) as opened:
                return _as_rgb(opened)
    except UnidentifiedImageError:
        raise UnusableError(f"no image of a known kind ({', '.join(KINDS)})") from None
    except Image.DecompressionBombError:
        raise UnusableError(_too_many()) from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error):
        # What Pillow's decoders raise on damaged files; it has no error of its own for them.
        raise UnusableError("broken image") from None


def _too_many() -> str:
    return f"more than {MAX_SOURCE_PIXELS:,} pixels"


def _as_rgb(opened: "Image") -> tuple["Image", list[str]]:
    from PIL import Image, ImageOps  # noqa: PLC0415 - see read_image

    width, height = opened.size
    if width * height > MAX_SOURCE_PIXELS:
        raise UnusableError(_too_many())
    if not width * height:
        raise UnusableError("no area")
    notes = []
    if getattr(opened, "n_frames", 1) > 1:
        notes.append("only the first frame of several")
        opened.seek(0)
    opened.load()
    image: Image.Image = opened
    if opened.getexif().get(0x0112, 1) != 1:
        notes.append("turned as its EXIF orientation says")
        image = ImageOps.exif_transpose(opened)
    mode = image.mode
    if mode in _SIXTEEN_BITS:
        notes.append("16 bits made 8")
        # Pillow's own conversion cuts off at 255; the high byte is meant.
        return image.convert("I").point(lambda value: value / 256).convert("L").convert("RGB"), notes
    if mode in {"I", "F"}:
        raise UnusableError("pixels of 32 bits, whose range is not known")
    if image.has_transparency_data:
        notes.append("transparent parts made white")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (*_WHITE, 255)), image)
    elif mode not in {"RGB", "L"}:
        notes.append(f"{mode} made RGB")
    return image.convert("RGB"), notes
