"""Images through the real workflow: drawn on demand and once, again for a changed PDF, refused with the key."""

import json
import os

import pytest

from pdf_files import Line, Placed, pdf
from winnow.core.images import image_file
from winnow.core.tables import read_rows
from workflow import plan, run, snakemake

PAGES = "results/illustrated/corpus/mine/images/vision.parquet"
DRAWING = "Drawing the images of mine of illustrated for vision"
STUDY = """
extends: demo
study: illustrated
corpora:
  papers: null
  mine:
    adapter: jsonl
    path: "{data_root}/rows.jsonl"
    prompt_id_key: id
    pdfs: "{data_root}/pdfs"
    min_prompt_chars: 1
    min_response_chars: 1
datasets:
  sft: {corpus: mine}
  dpo: {corpus: mine}
modalities:
  clean_images: {model: text, context: 1024, response_tokens: 640}
  vision: {model: text, context: 1024, response_tokens: 640}
"""


@pytest.fixture
def illustrated(checkout):
    """A checkout with a study whose prompts have PDFs, the last of them damaged."""
    (checkout / "data/pdfs").mkdir(parents=True)
    rows = []
    for number in range(3):
        rows.append({"id": f"p{number}", "prompt": f"Paper {number}", "response": f"Review {number}"})
        page = [Line(700, f"Paper {number}"), Placed(100, 300, 300, 200, number + 1)]
        (checkout / f"data/pdfs/p{number}.pdf").write_bytes(pdf([page, page[:1]]) if number < 2 else b"torn")
    (checkout / "data/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (checkout / "studies/illustrated.yaml").write_text(STUDY)
    return checkout


def shas(checkout, table=PAGES):
    return {(row["prompt_id"], row["number"]): row["sha256"] for row in read_rows(checkout / table)}


def test_images_are_drawn_once_and_again_for_a_changed_pdf(illustrated):
    assert plan(illustrated, PAGES) == [DRAWING, "Reading the corpus mine of illustrated"]
    run(illustrated, PAGES, PAGES.replace("vision", "clean_images"))
    pages, figures = shas(illustrated), shas(illustrated, PAGES.replace("vision", "clean_images"))
    assert list(pages) == [("p0", 0), ("p0", 1), ("p1", 0), ("p1", 1)]
    assert list(figures) == [("p0", 0), ("p1", 0)]
    for row in read_rows(illustrated / PAGES):
        image_file(row["path"], illustrated)
    rejected = list(read_rows(illustrated / PAGES.replace(".parquet", ".rejected.parquet")))
    assert rejected == [{"prompt_id": "p2", "file": "p2.pdf", "reason": "broken PDF"}]
    manifest = json.loads((illustrated / PAGES.replace(".parquet", ".manifest.json")).read_text())
    assert manifest["counts"]["prompts"]["dropped"] == {"broken PDF": 1}
    assert manifest["settings"]["pdfs"] == "pdfs"  # by name alone: where it lies makes no difference

    for file in (illustrated / "data/pdfs").iterdir():
        os.utime(file)
    assert plan(illustrated, PAGES) == []
    (illustrated / "data/pdfs/p2.pdf").write_bytes(pdf([[Line(700, "Mended")]]))
    run(illustrated, PAGES)
    again = shas(illustrated)
    assert {key: sha for key, sha in again.items() if key[0] != "p2"} == pages
    assert ("p2", 0) in again
    log = (illustrated / "results/illustrated/logs/draw_images/mine/vision.log").read_text()
    assert "2 prompts from the cache" in log


def refusal(checkout, old, new):
    study = checkout / "studies/illustrated.yaml"
    assert old in study.read_text()
    study.write_text(study.read_text().replace(old, new))
    done = snakemake(checkout, "--dry-run", "--", PAGES, check=False)
    assert done.returncode
    return done.stdout + done.stderr


def test_a_folder_that_is_missing_is_said_before_anything_runs(illustrated):
    said = refusal(illustrated, "{data_root}/pdfs", "{data_root}/papers")
    assert "studies/illustrated.yaml, key corpora.mine.pdfs: data/papers: there is no such" in said
    assert "data_root" in said


def test_a_modality_that_nothing_can_be_drawn_for_is_said_before_anything_runs(illustrated):
    said = refusal(illustrated, '    pdfs: "{data_root}/pdfs"\n', "")
    assert "key corpora.mine: neither pdfs nor pages is set, and vision shows images" in said
    assert "fix: name a folder by pdfs or pages" in said
