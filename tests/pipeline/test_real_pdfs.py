"""Real PDFs through three modalities, SFT and DPO: shown as the papers of a synthetic corpus, which they are not.

Nine of the ten PDFs were rejected and have one review each, so they cannot give pairs by themselves.
"""

import json
import math
import shutil

import pypdfium2
import pytest
import yaml

from real_data import REAL_DATA, needs_real_data
from winnow.core.config.corpora import DemoCorpus
from winnow.core.files import read_json
from winnow.core.tables import read_rows
from winnow.corpus.demo import SCALE, DemoSource
from winnow.corpus.records import Prompt, Response
from workflow import copy_checkout, run

pytestmark = needs_real_data

PDFS = sorted((REAL_DATA / "paper_pdfs").glob("*.pdf"))
MAX_IMAGES, MAX_PIXELS = 3, 50_176  # pages of at most 64 tokens
IMAGES = {"response_tokens": 512, "max_images": MAX_IMAGES, "max_pixels": MAX_PIXELS}
# Runs must begin where they should and see images; what more steps teach, the demo shows.
FEW_STEPS = {"overrides": {"max_steps": 4, "eval_steps": 0.5, "save_steps": 0.5}}
STUDY = {
    "extends": "demo",
    "study": "real_pdfs",
    "corpora": {
        "papers": {
            "papers": None,
            "reviews_per_paper": None,
            "seed": None,
            "adapter": "jsonl",
            "path": "data/reviews.jsonl",
            "pdfs": "data/pdfs",
            "pdf_key": "pdf",
            "prompt_id_key": "paper_id",
            "prompt_key": "body",
            "title_key": "title",
            "abstract_key": "abstract",
            "decision_key": "decision",
            "response_key": "review",
            "rating_key": "rating",
            "rating_scale": list(SCALE),
        }
    },
    "modalities": {
        "clean": {"context": 1024, "response_tokens": 512},
        "clean_images": IMAGES | {"context": 1280},
        "vision": IMAGES | {"context": 1280},
    },
    "runs": {
        "sft_{modality}": FEW_STEPS,
        "dpo_{modality}": FEW_STEPS,
        # No images in these.
        "sft_lora_clean": None,
        "dpo_clean": None,
    },
}
MODALITIES = ("clean", "clean_images", "vision")
RUNS = {f"sft_{modality}" for modality in MODALITIES} | {f"dpo_{modality}-beta0.1" for modality in MODALITIES}


def write_corpus(folder):
    """Write synthetic papers and reviews, each paper with the name of a real PDF."""
    (folder / "pdfs").mkdir(parents=True)
    for pdf in PDFS:
        shutil.copy(pdf, folder / "pdfs" / pdf.name)
    source = DemoSource(DemoCorpus(adapter="demo", papers=60, reviews_per_paper=4, seed=11))
    papers = {paper.identity: paper for paper in source.prompts() if isinstance(paper, Prompt)}
    shown = {name: PDFS[number % len(PDFS)].name for number, name in enumerate(sorted(papers))}
    with (folder / "reviews.jsonl").open("w") as file:
        for review in source.responses():
            if isinstance(review, Response):
                paper = papers[review.prompt_id]
                row = {
                    "paper_id": paper.identity,
                    "title": f"Synthetic, shown as {shown[paper.identity]}: {paper.title}",
                    "abstract": paper.abstract,
                    "body": paper.body,
                    "decision": paper.decision,
                    "review": review.text,
                    "rating": review.rating_label,
                    "pdf": shown[paper.identity],
                }
                file.write(json.dumps(row) + "\n")
    return shown


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The study's results once all its runs are trained, its checkout, and the PDF of each paper."""
    checkout = copy_checkout(tmp_path_factory.mktemp("pdfs") / "checkout")
    shown = write_corpus(checkout / "data")
    (checkout / "studies" / "real_pdfs.yaml").write_text(yaml.safe_dump(STUDY))
    run(checkout, "dpo", "validation", config=("studies=real_pdfs",))
    return checkout / "results" / "real_pdfs", checkout, shown


def rows_of(results, dataset, modality, split="train"):
    return list(read_rows(results / f"datasets/{dataset}/{modality}/{split}.parquet"))


def parts(row, kind):
    return [part for message in row["prompt"] for part in message["content"] if part["type"] == kind]


def test_six_runs_begin_where_they_must(study):
    results, checkout, _ = study
    assert {file.parent.name for file in (results / "runs").glob("*/manifest.json")} == RUNS
    for name in RUNS:
        manifest = read_json(results / "runs" / name / "manifest.json")
        assert (checkout / "checkpoints/real_pdfs" / name / "model" / "config.json").is_file()
        if name.startswith("dpo"):
            assert manifest["first_loss"] == pytest.approx(math.log(2), abs=1e-5)


@pytest.mark.parametrize(("dataset", "key"), [("sft", "response_id"), ("dpo", "pair_id")])
def test_every_modality_has_the_same_rows(study, dataset, key):
    results, _, _ = study
    for split in ("train", "val"):
        ids = [[row[key] for row in rows_of(results, dataset, modality, split)] for modality in MODALITIES]
        assert ids[0] == ids[1] == ids[2]
        assert ids[0]


def test_vision_shows_the_pages_of_the_papers_own_pdf_and_no_body(study):
    results, checkout, shown = study
    bodies = {row["prompt_id"]: row["body"] for row in read_rows(results / "corpus/papers/prompts.parquet")}
    table = {}
    for image in read_rows(results / "corpus/papers/images/vision.parquet"):
        table.setdefault(image["prompt_id"], []).append(image["path"])
    pages = {}
    for row in rows_of(results, "sft", "vision"):
        name = row["prompt_id"]
        assert row["images"] == table[name][:MAX_IMAGES]
        assert len(parts(row, "image")) == len(row["images"])
        assert all((checkout / path).is_file() for path in row["images"])
        with pypdfium2.PdfDocument(checkout / "data/pdfs" / shown[name]) as pdf:
            assert len(row["images"]) == min(MAX_IMAGES, len(pdf))
        text = " ".join(part["text"] for part in parts(row, "text"))
        assert bodies[name][:200] not in text
        # Papers with one PDF have the same pages, others have others.
        assert pages.setdefault(shown[name], row["images"]) == row["images"]
    assert len(pages) == len({tuple(paths) for paths in pages.values()}) > 1


def test_figures_are_not_pages(study):
    results, _, _ = study
    figures = {row["sha256"] for row in read_rows(results / "corpus/papers/images/clean_images.parquet")}
    pages = {row["sha256"] for row in read_rows(results / "corpus/papers/images/vision.parquet")}
    assert figures
    assert pages
    assert not figures & pages


def test_images_take_part_in_what_is_learned(study):
    """Three modalities that were the same text would end in the same losses."""
    results, _, _ = study
    losses = set()
    for modality in MODALITIES:
        lines = (results / f"runs/sft_{modality}/metrics.jsonl").read_text().splitlines()
        losses.add(round([row["loss"] for row in map(json.loads, lines) if row["kind"] == "train"][-1], 6))
    assert len(losses) == 3
