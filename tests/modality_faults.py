"""Faults of images and of modalities that validation must catch; FAULTS says which rule is for which, and where."""

import hashlib
from pathlib import Path

import datasets_fixtures as made
from winnow.core.tables import LEFT_OUT, read_rows, write_table


def first_row(world):
    return world.rows("train")[0]


def first_file(world):
    return Path(first_row(world)["images"][0])


def images_of(world, prompt):
    return [row for row in world.images() if row["prompt_id"] == prompt]


def image_of_another_prompt(world):
    rows = world.rows("train")
    other = next(row["images"] for row in rows if row["prompt_id"] != rows[0]["prompt_id"])
    world.change("train", lambda row: row.update(images=other))


def images_in_another_order(world):
    world.change("train", lambda row: row["images"].reverse())


def later_image(world):
    """The third image in the place of the second; it exists, but only the first two are shown."""
    row = first_row(world)
    third = images_of(world, row["prompt_id"])[2]["path"]
    world.change("train", lambda row: row.update(images=[row["images"][0], third]))


def image_missing(world):
    world.change("train", lambda row: row["images"].pop())


def image_and_place_missing(world):
    def drop(row):
        row["images"].pop()
        row["prompt"][1]["content"].pop(0)

    world.change("train", drop)


def one_place_too_many(world):
    world.change("train", lambda row: row["prompt"][1]["content"].insert(0, {"type": "image", "text": None}))


def place_in_the_answer(world):
    side = "completion" if world.stage == "sft" else "chosen"

    def move(row):
        row["prompt"][1]["content"].pop(0)
        row[side][0]["content"].insert(0, {"type": "image", "text": None})

    world.change("train", move)


def file_gone(world):
    first_file(world).unlink()


def file_changed(world):
    file = first_file(world)
    file.write_bytes(file.read_bytes() + b"x")


def file_of_other_bytes(world):
    """Sound, but not what its name says; the table was made to agree."""
    file = first_file(world)
    other = next(row["path"] for row in world.images() if row["path"] != str(file))
    file.write_bytes(Path(other).read_bytes())


def file_that_is_no_image(world):
    data = b"this is no image"
    sha256 = hashlib.sha256(data).hexdigest()
    path = Path("cache/images") / sha256[:2] / f"{sha256}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    _replace_first_image(world, path=str(path), sha256=sha256)


def size_in_the_table(world):
    _replace_first_image(world, width=77, height=99)


def hash_in_the_table(world):
    _replace_first_image(world, sha256="0" * 64)


def path_out_of_the_cache(world):
    file = first_file(world)
    outside = world.folder / file.name
    outside.write_bytes(file.read_bytes())
    _replace_first_image(world, path=file.name)


def link_out_of_the_cache(world):
    file = first_file(world)
    outside = world.folder / file.name
    outside.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(outside)


def _replace_first_image(world, **changes):
    """Change the first image of the first row, in the table and in every row that shows it."""
    images, old = world.images(), str(first_file(world))
    next(row for row in images if row["path"] == old).update(changes)
    world.put_images(images)
    for name in ("train", "val"):
        rows = world.rows(name)
        for row in rows:
            row["images"] = [changes.get("path", path) if path == old else path for path in row["images"]]
        world.put(name, rows)


def numbers_with_a_gap(world):
    prompt, images = first_row(world)["prompt_id"], world.images()
    next(row for row in images if row["prompt_id"] == prompt and row["number"] == 2).update(number=5)
    world.put_images(images)


def images_not_counted(world):
    world.change("train", lambda row: row.update(prompt_tokens=row["prompt_tokens"] - 1))


def other_pixels(world):
    """Rows were counted with other limits than the settings say."""
    world.spec = world.spec | {"images": made.IMAGE_BUDGET | {"max_pixels": 4704}}


def image_mark_in_text(world):
    def edit(row):
        row["prompt"][1]["content"][-1]["text"] += "<|image_pad|>"

    world.change("train", edit)


def body_shown(world):
    def edit(row):
        row["prompt"][1]["content"][-1]["text"] += "\n\n## Full text\n\nThe body."

    world.change("train", edit)


def text_before_images(world):
    world.change("train", lambda row: row["prompt"][1]["content"].reverse())


def empty_typed_answer(world):
    side = "completion" if world.stage == "sft" else "rejected"
    world.change("train", lambda row: row[side][0]["content"][0].update(text=""))


def row_of_one_modality(world):
    """A row that the other modality leaves out is kept here."""
    ids = {row[world.key] for row in world.rows("train")}
    rest = [row for row in world.rows("rendered") if row[world.key] not in ids and row["split"] == "train"]
    world.put("train", [*world.rows("train"), rest[0]])


def row_lost_here(world):
    world.put("train", world.rows("train")[1:])


def row_in_another_split(world):
    moved = world.rows("train")[0]
    world.put("train", world.rows("train")[1:])
    world.put("val", [*world.rows("val"), moved])


def other_rejected(world):
    rows = world.rows("train")
    rows[0]["rejected_id"] = rows[1]["rejected_id"]
    world.put("train", rows)


def left_out_elsewhere_only(world):
    """The other modality takes back its reason: now nothing says why the row is absent here."""
    table = world.folder / world.stage / world.other / "left_out.parquet"
    rows = list(read_rows(table))
    write_table(table, rows[1:], LEFT_OUT, ["id"])


def reason_is_another(world):
    world.change("left_out", lambda row: row.update(reason="response_too_long"))


def left_out_unsaid(world):
    world.put("left_out", world.rows("left_out")[1:])


SFT, DPO, CLEAN = ("sft", "vision"), ("dpo", "vision"), ("sft", "clean")
FAULTS = [
    (
        "C6",
        SFT,
        (
            image_of_another_prompt,
            images_in_another_order,
            later_image,
            image_missing,
            image_and_place_missing,
            one_place_too_many,
            place_in_the_answer,
            file_gone,
            file_changed,
            file_of_other_bytes,
            file_that_is_no_image,
            size_in_the_table,
            hash_in_the_table,
            path_out_of_the_cache,
            link_out_of_the_cache,
            numbers_with_a_gap,
        ),
    ),
    ("C6", DPO, (image_of_another_prompt, place_in_the_answer, file_gone)),
    ("C5", SFT, (empty_typed_answer,)),
    ("C5", DPO, (empty_typed_answer,)),
    ("W5", SFT, (body_shown, text_before_images, image_and_place_missing)),
    ("W7", SFT, (images_not_counted, other_pixels)),
    ("W7", DPO, (images_not_counted,)),
    ("W8", SFT, (image_mark_in_text, one_place_too_many)),
    ("C10", SFT, (reason_is_another, left_out_unsaid, row_lost_here)),
    ("C10", CLEAN, (left_out_elsewhere_only, row_lost_here)),
    ("C10b", CLEAN, (row_of_one_modality, row_lost_here, row_in_another_split)),
    ("C10b", SFT, (row_lost_here,)),
    ("C10b", DPO, (other_rejected,)),
]
