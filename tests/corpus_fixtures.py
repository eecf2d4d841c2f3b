"""Small raw files and the tables that come of them, for tests of the corpus stage."""

import gzip
import json
from pathlib import Path
from typing import Any, NamedTuple

from winnow.core.tables import read_rows
from winnow.corpus.adapters import open_source
from winnow.corpus.ingest import Tables, build_tables

LONG = "The paper studies one thing and studies it well, with enough words here to be more than a remark about it. "


def words(seed: str, count: int) -> str:
    """Return words that no other seed shares."""
    return " ".join(f"{seed}{number}" for number in range(count))


def paper(identity: str, year: int = 2019, **more: Any) -> dict[str, Any]:
    return {
        "paper_id": identity,
        "year": year,
        "source": "crawl",
        "title": f"On the matter of {identity}",
        "abstract": words(identity, 30),
        "decision": "Reject",
        "text": None,
    } | more


def review(identity: str, paper_id: str, year: int = 2019, **more: Any) -> dict[str, Any]:
    return {
        "review_id": identity,
        "paper_id": paper_id,
        "year": year,
        "source": "crawl",
        "rating": "6: Marginally above acceptance threshold",
        "confidence": "4: Confident",
        "review": LONG + words(identity, 30),
        "is_meta_review": False,
        "date": None,
    } | more


def write_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(record) + "\n" for record in records)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        path.write_text(text, encoding="utf-8")
    return path


class Ingested(NamedTuple):
    """The tables of a corpus as rows, and the counts."""

    prompts: dict[str, dict[str, Any]]
    responses: dict[str, dict[str, Any]]
    rejected: dict[str, dict[str, Any]]
    counts: dict[str, Any]
    files: Tables

    @property
    def reasons(self) -> dict[str, str]:
        return {identity: row["reason"] for identity, row in self.rejected.items()}


def ingest(spec: Any, folder: Path, name: str = "iclr") -> Ingested:
    """Run the whole ingest of a corpus."""
    tables = Tables(folder / "prompts.parquet", folder / "responses.parquet", folder / "rejected.parquet")
    counts = build_tables(open_source(spec, name), spec, tables)
    prompts, responses, rejected = (list(read_rows(path)) for path in tables)
    return Ingested(
        {row["prompt_id"]: row for row in prompts},
        {row["response_id"]: row for row in responses},
        {row["record_id"]: row for row in rejected},
        counts,
        tables,
    )
