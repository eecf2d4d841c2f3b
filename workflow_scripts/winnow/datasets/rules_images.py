"""C6: every image of a row is the one that the images table says, whole and in its place."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from winnow.core.errors import WinnowError
from winnow.core.images import image_file
from winnow.core.tables import Row, read_rows
from winnow.datasets.checks import Check
from winnow.datasets.evidence import Evidence
from winnow.datasets.messages import places
from winnow.datasets.rendered import RenderedRow


class ImageRules:
    """The rule on images, with what it remembers: each file is read once, however many rows show it."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.problems: dict[str, str | None] = {}

    @cached_property
    def table(self) -> Mapping[str, list[Row]]:
        """Prompt → its rows in the images table, by number."""
        found: dict[str, list[Row]] = {}
        assert self.evidence.paths.images is not None
        for row in read_rows(self.evidence.paths.images):
            found.setdefault(row["prompt_id"], []).append(row)
        return {prompt_id: sorted(rows, key=lambda row: row["number"]) for prompt_id, rows in found.items()}

    def images_match(self, rendered: RenderedRow, check: Check) -> None:
        """C6: the images are the prompt's first ones, one for each place, and their files are sound."""
        shown = self.evidence.spec.images
        if shown is None:
            check.not_applicable = f"modality {self.evidence.spec.modality} shows text alone"
            return
        row, name = rendered.row, rendered.id
        source = self.table.get(row["prompt_id"], [])
        numbers = [image["number"] for image in source]
        check.expect(numbers == list(range(len(source))), name, f"the images of its prompt are numbered {numbers}")
        wanted = [image["path"] for image in source[: shown.max_images]]
        found = row["images"] or []
        check.expect(found == wanted, name, f"shows {len(found)} images that are not its prompt's first {len(wanted)}")
        check.expect(bool(found), name, "shows no image")
        in_user = sum(places(message["content"]) for message in row["prompt"] if message["role"] == "user")
        turns = [*row["prompt"], *(message for side in rendered.sides for message in row[side] or [])]
        in_all = sum(places(message["content"]) for message in turns)
        where = f"has {in_user} places for images in the user's turn, {in_all} in all, and {len(found)} images"
        check.expect(in_user == in_all == len(found), name, where)
        for image in source[: shown.max_images]:
            if image["path"] not in self.problems:
                self.problems[image["path"]] = _problem(image)
            problem = self.problems[image["path"]]
            check.expect(problem is None, name, f"{image['path']} {problem}")


def _problem(image: Row) -> str | None:
    """Return what is wrong with the file of an image, None if it is what the images table says."""
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - only where images are shown

    try:
        file = image_file(image["path"])
    except WinnowError as error:
        return str(error).partition("\n")[0].removeprefix(f"{image['path']}: ")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    if not sha256 == image["sha256"] == Path(image["path"]).stem:
        return f"has the sha256 {sha256[:12]}, its name and table say otherwise"
    try:
        with Image.open(file) as opened:
            opened.load()
            size = opened.size
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        return f"cannot be decoded ({error})"
    if size != (image["width"], image["height"]):
        return f"has {size[0]} x {size[1]} pixels, the table says {image['width']} x {image['height']}"
    return None
