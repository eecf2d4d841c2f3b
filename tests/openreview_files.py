"""Raw files in the OpenReview layout, made from the synthetic demo corpus, for tests that spoil or shuffle them."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

from winnow.core.tables import read_rows

DECISIONS = {"accept": "Accept (Poster)", "reject": "Reject"}


def raw_records(demo_corpus: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return (papers, reviews) as a crawler would have left them, all of 2019."""
    papers, reviews = [], []
    for row in read_rows(demo_corpus / "prompts.parquet"):
        papers.append(
            {
                "paper_id": row["prompt_id"],
                "year": 2019,
                "source": "test",
                "title": row["title"],
                "abstract": row["abstract"],
                "keywords": None,
                "decision": DECISIONS.get(row["decision"], "N/A"),
                "submitted": None,
                "ratings": None,
                "text": None,
                "text_total_chars": None,
            }
        )
    decisions = {paper["paper_id"]: paper["decision"] for paper in papers}
    for row in read_rows(demo_corpus / "responses.parquet"):
        reviews.append(
            {
                "review_id": row["response_id"],
                "source": "test",
                "year": 2019,
                "paper_id": row["prompt_id"],
                "title": "",
                "decision": decisions[row["prompt_id"]],
                "rating": f"{row['rating']:g}: a rating" if row["rating"] is not None else None,
                "confidence": f"{row['confidence']:g}: a confidence" if row["confidence"] is not None else None,
                "review_title": None,
                "review": row["text"],
                "is_meta_review": False,
                "date": None,
                "raw": {},
            }
        )
    return papers, reviews


def write_jsonl_gz(path: Path, records: list[dict[str, Any]], shuffle: int | None = None) -> None:
    """Write gzipped JSON lines, shuffled with a seed where one is given."""
    records = random.Random(shuffle).sample(records, len(records)) if shuffle is not None else records
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


STUDY = """
extends: demo
study: crawled
corpora:
  papers: null
  iclr:
    adapter: openreview
    papers: "{data_root}/papers.jsonl.gz"
    reviews: "{data_root}/reviews.jsonl.gz"
    prompt_fields: [title, abstract]
    min_prompt_chars: 20
datasets:
  sft: {corpus: iclr}
  dpo: {corpus: iclr}
modalities: {clean_images: null, vision: null}
exports: []
"""


def add_study(checkout: Path, demo_corpus: Path, shuffle: int | None = None) -> None:
    """Add the study `crawled` and its raw files below data/."""
    (checkout / "studies" / "crawled.yaml").write_text(STUDY)
    papers, reviews = raw_records(demo_corpus)
    write_jsonl_gz(checkout / "data" / "papers.jsonl.gz", papers, shuffle)
    write_jsonl_gz(checkout / "data" / "reviews.jsonl.gz", reviews, shuffle)
