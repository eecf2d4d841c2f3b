"""Drawing a whole corpus: tables, reasons, cache, processes, and files that must not be read."""

import json
import os
import signal
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from corpus_fixtures import ingest, write_lines
from pdf_files import Line, Placed, locked_pdf, pdf
from winnow.core.config.corpora import DemoCorpus, JsonlCorpus
from winnow.core.errors import WinnowError
from winnow.core.ids import sha256_file
from winnow.core.images import image_file
from winnow.core.tables import IMAGES, PROMPTS, read_rows, write_table
from winnow.corpus import image_cache
from winnow.corpus.draw import DEATH, ImageTables, draw_corpus
from winnow.corpus.image_sources import DrawSettings
from winnow.corpus.isolation import isolated

BUDGET = {"max_pixels": 50_000, "min_pixels": 196, "max_images": 3}
PAPER = pdf([[Line(700, f"page {number}"), Placed(100, 300, 300, 200, number)] for number in range(1, 5)])


def write_prompts(folder, named):
    """Make prompts.parquet of ids and the PDFs that their records name."""
    rows = [
        dict.fromkeys(PROMPTS.names) | {"prompt_id": identity, "image_paths": name and [name]}
        for identity, name in named.items()
    ]
    write_table(folder / "prompts.parquet", rows, PROMPTS, ["prompt_id"])
    return folder / "prompts.parquet"


class World:
    """Folders of PDFs and images, and a checkout to draw in."""

    def __init__(self, folder):
        self.folder, self.root = folder, folder / "checkout"
        self.pdfs, self.pages = folder / "pdfs", folder / "pages"
        self.pdfs.mkdir()
        self.pages.mkdir()
        self.named = {}

    def paper(self, identity, data=PAPER, name=None):
        self.named[identity] = name
        if data is not None:
            (self.pdfs / (name or f"{identity}.pdf")).write_bytes(data)

    def images(self, identity, *names):
        self.named[identity] = None
        (self.pages / identity).mkdir()
        for name in names:
            Image.new("RGB", (30, 20), (len(name), 0, 0)).save(self.pages / identity / name, "PNG")

    def draw(self, out="out", workers=1, modality="vision", **changes):
        folder = self.folder / out
        settings = {"adapter": "jsonl", "modality": modality, "pdfs": str(self.pdfs), **BUDGET}
        if modality == "vision":
            settings["pages"] = str(self.pages)
        tables = ImageTables(folder / "images.parquet", folder / "rejected.parquet")
        prompts = write_prompts(self.folder, self.named)
        report = draw_corpus(prompts, DrawSettings(**(settings | changes)), self.root, tables, workers)
        return report, tables

    def cached(self):
        """Every file of the cache with when it was written."""
        files = (self.root / "cache").rglob("*")
        return {file: file.stat().st_mtime_ns for file in files if file.is_file()}


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def by_prompt(table):
    found = {}
    for row in read_rows(table):
        found.setdefault(row["prompt_id"], []).append(row)
    return found


def reasons(tables):
    return {row["prompt_id"]: (row["file"], row["reason"]) for row in read_rows(tables.rejected)}


def test_the_table_names_images_that_are_there_in_the_order_of_pages(world):
    for identity in ("b", "a"):
        world.paper(identity)
    report, tables = world.draw()
    rows = list(read_rows(tables.images))
    assert [(row["prompt_id"], row["number"]) for row in rows] == [(p, n) for p in "ab" for n in range(3)]
    assert list(rows[0]) == IMAGES.names
    for row in rows:
        file = image_file(row["path"], world.root)
        assert row["kind"] == "page"
        assert sha256_file(file) == row["sha256"] == file.stem
        with Image.open(file) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (row["width"], row["height"]))
        assert row["width"] * row["height"] <= BUDGET["max_pixels"]
    assert len({row["sha256"] for row in rows}) == 3  # both prompts have the same paper
    assert report.counts == {
        "prompts": {
            "read": 2,
            "kept": 2,
            "dropped": {},
            "notes": {"first page without a heading Abstract: authors may show": 2, "pages beyond max_images": 2},
        },
        "images": 6,
    }


def spoil(world):
    """One prompt with every fault that a folder can have."""
    outside = world.folder / "outside.pdf"
    outside.write_bytes(PAPER)
    world.paper("good")
    world.paper("absent", None)
    world.paper("broken", b"%PDF-1.7 nothing")
    world.paper("empty", b"")
    world.paper("locked", locked_pdf())
    world.paper("linked", None)
    (world.pdfs / "linked.pdf").symlink_to(outside)
    world.paper("loop", None)
    (world.pdfs / "loop.pdf").symlink_to(world.pdfs / "loop.pdf")
    world.paper("a folder", None)
    (world.pdfs / "a folder.pdf").mkdir()
    world.paper("a pipe", None)
    os.mkfifo(world.pdfs / "a pipe.pdf")
    world.paper("climbing", None, "../outside.pdf")
    world.paper("absolute", None, str(outside))
    for identity in ("../outside", "/etc/hosts", "..", "a\\b", "x" * 300):
        world.paper(identity, None)
    world.images("bad page", "1.png", "2.png")
    (world.pages / "bad page" / "2.png").write_bytes(b"torn")
    world.images("linked page", "1.png")
    (world.pages / "linked page" / "2.png").symlink_to(outside)
    world.images("no pages")
    world.paper("a file", None)
    (world.pages / "a file").write_bytes(b"no folder")


EXPECTED = {
    "absent": ("absent.pdf", "no PDF"),
    "broken": ("broken.pdf", "broken PDF"),
    "empty": ("empty.pdf", "empty file"),
    "locked": ("locked.pdf", "encrypted PDF"),
    "linked": ("linked.pdf", "outside the folder"),
    "loop": ("loop.pdf", "cannot be looked up"),
    "a folder": ("a folder.pdf", "not a file"),
    "a pipe": ("a pipe.pdf", "not a file"),
    "climbing": ("../outside.pdf", "outside the folder"),
    "../outside": (None, "its id is no file name"),
    "/etc/hosts": (None, "its id is no file name"),
    "..": (None, "its id is no file name"),
    "a\\b": (None, "its id is no file name"),
    "x" * 300: (None, "its id is no file name"),
    "bad page": ("bad page/2.png", "no image of a known kind (PNG, JPEG, WEBP, GIF, TIFF, BMP, PPM)"),
    "linked page": ("linked page/2.png", "outside the folder"),
    "no pages": ("no pages", "empty folder"),
    "a file": ("a file", "not a folder"),
}


def test_every_fault_is_a_reason_and_any_number_of_processes_writes_the_same_bytes(world):
    spoil(world)
    report, tables = world.draw("one", workers=1)
    expected = EXPECTED | {"absolute": (str(world.folder / "outside.pdf"), "outside the folder")}
    assert reasons(tables) == expected
    assert list(by_prompt(tables.images)) == ["good"]
    counts = report.counts["prompts"]
    assert counts["read"] == len(world.named) == counts["kept"] + sum(counts["dropped"].values())
    assert counts["dropped"]["its id is no file name"] == 5

    before = world.cached()
    again, same = world.draw("again", workers=3)
    assert [file.read_bytes() for file in same] == [file.read_bytes() for file in tables]
    assert again == report
    assert world.cached() == before  # nothing was drawn

    world.root = world.folder / "another checkout"
    fresh, other = world.draw("fresh", workers=3)
    assert [file.read_bytes() for file in other] == [file.read_bytes() for file in tables]
    assert fresh == report


def test_half_written_and_foreign_files_of_the_cache_are_not_used(world):
    world.paper("a")
    report, tables = world.draw()
    before = [file.read_bytes() for file in tables]
    images = [image_file(row["path"], world.root) for row in read_rows(tables.images)]
    whole = [image.read_bytes() for image in images]
    (entry,) = (world.root / "cache/images/keys").rglob("*.json")

    images[0].write_bytes(whole[0][:100])
    images[1].write_bytes(whole[2])  # another image under its name
    images[2].unlink()
    images[2].with_name(f".{images[2].name}.99.part").write_bytes(whole[2][:9])
    assert world.draw() == (report, tables)
    assert [image.read_bytes() for image in images] == whole

    for torn in ("", entry.read_text()[:50], "{}", '{"images": [["x"]], "notes": [], "file": null, "reason": null}'):
        entry.write_text(torn)
        assert world.draw() == (report, tables)
        assert json.loads(entry.read_text())["images"]
    assert [file.read_bytes() for file in tables] == before


def test_a_changed_source_or_setting_or_code_is_drawn_anew(world, monkeypatch):
    world.paper("a")
    _, tables = world.draw()
    first = [row["sha256"] for row in read_rows(tables.images)]
    world.paper("a", pdf([[Line(700, "another")], [Line(90, "paper")]]))
    _, tables = world.draw()
    second = [row["sha256"] for row in read_rows(tables.images)]
    assert len(second) == 2
    assert not set(first) & set(second)
    _, tables = world.draw(max_pixels=40_000)
    assert all(row["width"] * row["height"] <= 40_000 for row in read_rows(tables.images))
    key = image_cache.image_key(["a"], "{}")
    monkeypatch.setattr(image_cache, "_made_by", lambda: "another version")
    assert image_cache.image_key(["a"], "{}") != key


def test_images_of_a_folder_come_before_the_pdf_and_in_the_order_of_their_numbers(world):
    world.paper("a")
    world.images("b", "page_10.png", "page_9.png", "page_1.png", ".hidden")
    report, tables = world.draw()
    rows = by_prompt(tables.images)
    assert len(rows["a"]) == len(rows["b"]) == 3
    with Image.open(image_file(rows["b"][2]["path"], world.root)) as last:
        assert last.getpixel((0, 0)) == (len("page_10.png"), 0, 0)
        assert last.size == (30, 20)
    assert report.counts["prompts"]["notes"]["hidden files, not read"] == 1


def test_figures_of_pdfs_and_a_prompt_without_any(world):
    world.paper("a")
    world.paper("words", pdf([[Line(700, "words and a drawing of strokes")]], strokes=50))
    report, tables = world.draw(modality="clean_images")
    rows = by_prompt(tables.images)
    assert [row["kind"] for row in rows["a"]] == ["figure"] * 3
    assert reasons(tables) == {"words": ("words.pdf", "no figures in the PDF")}
    assert report.counts["prompts"]["notes"] == {
        "figures beyond max_images": 1,
        "page with many strokes of its own: a figure made of them is missed": 1,
    }


def test_the_synthetic_corpus_has_pages_of_its_words_and_a_chart_for_each_paper(world):
    made = ingest(DemoCorpus(adapter="demo", papers=3), world.folder)
    for modality, kind in (("vision", "page"), ("clean_images", "figure")):
        settings = DrawSettings(adapter="demo", modality=modality, **BUDGET)
        tables = ImageTables(world.folder / f"{kind}.parquet", world.folder / "r.parquet")
        draw_corpus(made.files.prompts, settings, world.root, tables, 1)
        rows = by_prompt(tables.images)
        assert list(rows) == list(made.prompts)
        assert {row["kind"] for row in read_rows(tables.images)} == {kind}
        assert {len(images) for images in rows.values()} == ({1} if kind == "figure" else {2})
        assert all(row["width"] * row["height"] <= BUDGET["max_pixels"] for row in read_rows(tables.images))
    assert len({row["sha256"] for row in read_rows(tables.images)}) == 3


def test_a_jsonl_row_names_its_pdf(world):
    rows = [
        {
            "prompt": f"Body {n}",
            "response": f"Review {n}",
            "about": f"What {n} is",
            "file": f"sub/{n}.pdf",
            "id": f"p{n}",
        }
        for n in range(2)
    ]
    path = write_lines(world.folder / "rows.jsonl", rows)
    keys = {"prompt_id_key": "id", "abstract_key": "about", "pdf_key": "file"}
    spec = JsonlCorpus(adapter="jsonl", path=str(path), min_prompt_chars=1, min_response_chars=1, **keys)
    made = ingest(spec, world.folder)
    assert made.prompts["p1"]["image_paths"] == ["sub/1.pdf"]
    assert made.prompts["p1"]["abstract"] == "What 1 is"
    (world.pdfs / "sub").mkdir()
    world.paper("p0", PAPER, "sub/0.pdf")
    settings = DrawSettings(adapter="jsonl", modality="vision", pdfs=str(world.pdfs), **BUDGET)
    tables = ImageTables(world.folder / "i.parquet", world.folder / "r.parquet")
    draw_corpus(made.files.prompts, settings, world.root, tables, 1)
    assert list(by_prompt(tables.images)) == ["p0"]
    assert reasons(tables) == {"p1": ("sub/1.pdf", "no PDF")}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pdfs": "nowhere"}, "key pdfs of the corpus: nowhere: there is no such folder"),
        ({"pages": "nowhere"}, "key pages of the corpus: nowhere: there is no such folder"),
        ({"pdfs": None, "pages": None}, "neither pdfs nor pages is set"),
    ],
)
def test_a_missing_folder_is_said_before_any_work(world, changes, said):
    world.paper("a")
    with pytest.raises(WinnowError, match=said):
        world.draw(**changes)
    assert not world.root.exists()
    assert not (world.folder / "out").exists()


def perish(item: int, folder: Path) -> int:
    """Die of some items as a damaged file would have it, and remember each attempt."""
    with (folder / str(item)).open("a") as file:
        file.write("x")
    if item == 5:
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == 7:
        os._exit(3)
    return item * item


@pytest.mark.parametrize("workers", [1, 3])
def test_a_death_costs_the_item_that_caused_it(tmp_path, workers):
    found = list(isolated(partial(perish, folder=tmp_path), range(20), workers))
    assert found == [(item, None if item in {5, 7} else item * item) for item in range(20)]


def all_die(_, items, __):
    return ((item, None) for item in items)


def test_a_prompt_that_kills_its_process_has_a_reason(world, monkeypatch):
    world.paper("a")
    monkeypatch.setattr("winnow.corpus.draw.isolated", all_die)
    report, tables = world.draw()
    assert reasons(tables) == {"a": (None, DEATH)}
    assert report.counts["prompts"]["dropped"] == {DEATH: 1}
    assert list(read_rows(tables.images)) == []


def devour(_: int) -> None:
    """Take more memory than a process may have."""
    _ = bytearray(8 * 2**30)


def test_a_process_has_a_limit_of_memory(tmp_path):
    with pytest.raises(MemoryError):
        list(isolated(devour, [1], 1))
