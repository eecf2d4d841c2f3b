"""Which images of a prompt are shown: the first ones of the corpus's images table."""

from pathlib import Path
from typing import NamedTuple

from winnow.core.tables import read_rows

# Above it the processor of Qwen2.5-VL refuses an image (transformers, smart_resize).
MAX_ASPECT = 200


class Image(NamedTuple):
    """One image of a prompt; width and height in pixels."""

    path: str
    width: int
    height: int

    @property
    def is_too_narrow(self) -> bool:
        """Whether its sides differ more than the processor allows."""
        return max(self.width, self.height) > MAX_ASPECT * min(self.width, self.height)


def read_images(table: Path, limit: int) -> dict[str, tuple[Image, ...]]:
    """Return prompt → its first `limit` images, in their order. Prompts without images are absent."""
    found: dict[str, list[tuple[int, Image]]] = {}
    for row in read_rows(table, ["prompt_id", "number", "path", "width", "height"]):
        if row["number"] < limit:
            image = Image(row["path"], row["width"], row["height"])
            found.setdefault(row["prompt_id"], []).append((row["number"], image))
    return {prompt_id: tuple(image for _, image in sorted(images)) for prompt_id, images in found.items()}
