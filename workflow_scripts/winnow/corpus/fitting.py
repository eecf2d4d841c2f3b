"""The size at which an image is kept, and its bytes."""

import io
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_RATIO = 200  # of the longer to the shorter side; Qwen2-VL's image processor raises above it (its smart_resize)


class UnusableError(Exception):
    """Why a prompt has no images: one of few reasons, so that they can be counted, and the file that it is about."""

    def __init__(self, reason: str, file: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.file = file


def fitted_size(width: float, height: float, *, max_pixels: int, min_pixels: int, enlarge: bool) -> tuple[int, int]:
    """Return the size, in pixels, at which an image of some shape is kept.

    The shape is kept to within a pixel. Width times height is at most `max_pixels`, and at least `min_pixels` where the
    two leave room for whole numbers: below it the model's image processor would enlarge the image itself.

    Args:
        width: of the image, in any unit; pixels where `enlarge` is false.
        height: likewise.
        max_pixels: the most that the image may have.
        min_pixels: the least.
        enlarge: whether to fill `max_pixels`, as drawings can, or to shrink only, as photographs must.

    Raises:
        UnusableError: if one side is more than `MAX_RATIO` times the other, or there is no area.
    """
    if not (math.isfinite(width) and math.isfinite(height)) or min(width, height) <= 0:
        raise UnusableError("no area")
    if max(width, height) / min(width, height) > MAX_RATIO:
        raise UnusableError(f"one side is more than {MAX_RATIO} times the other")
    area = width * height
    if area < min_pixels:
        scale = math.sqrt(min_pixels / area)
        size = math.ceil(width * scale), math.ceil(height * scale)
    else:
        size = math.ceil(width), math.ceil(height)
    if enlarge or size[0] * size[1] > max_pixels:
        scale = math.sqrt(max_pixels / area)
        size = max(1, math.floor(width * scale)), max(1, math.floor(height * scale))
    # A side of one pixel cannot shrink: the other gives way.
    return min(size[0], max_pixels // size[1]), min(size[1], max_pixels)


def fitted(image: "Image", *, max_pixels: int, min_pixels: int) -> "Image":
    """Return an RGB image within the budget: shrunk or, below `min_pixels`, enlarged; otherwise as it is."""
    from PIL.Image import Resampling  # noqa: PLC0415 - Pillow is only needed where images are drawn

    size = fitted_size(*image.size, max_pixels=max_pixels, min_pixels=min_pixels, enlarge=False)
    return image if size == image.size else image.resize(size, Resampling.LANCZOS, reducing_gap=3.0)


def png_bytes(image: "Image") -> bytes:
    """Return an image as PNG: pixels alone, no metadata, so that equal pixels give equal bytes."""
    buffer = io.BytesIO()
    plain = image.convert("RGB")
    plain.info = {}
    plain.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()
