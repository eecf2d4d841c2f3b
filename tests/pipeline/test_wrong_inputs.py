"""Wrong inputs through the real workflow: a clear error, before anything is trained, and nothing lost."""

import gzip
import json
import resource
import subprocess
import sys

import pytest

from openreview_files import add_study, raw_records, write_jsonl_gz
from workflow import run, snakemake

INGEST = "results/crawled/corpus/iclr/ingest.manifest.json"
PAIRS = "results/crawled/datasets/dpo/chosen.parquet"


@pytest.fixture
def crawled(checkout, finished_demo):
    """A checkout with the study `crawled` and its raw files, not yet run."""
    add_study(checkout, finished_demo / "results/demo/corpus/papers")
    return checkout


@pytest.fixture
def records(finished_demo):
    return raw_records(finished_demo / "results/demo/corpus/papers")


def refusal(checkout, target):
    """What a failing run says; it must not be a traceback, and must leave no output."""
    done = snakemake(checkout, "--cores", "2", "--config", "studies=crawled", "--", target, check=False)
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "Traceback (most recent call last)" not in said
    assert not (checkout / target).exists()
    return said


def test_a_truncated_gzip_file(crawled):
    file = crawled / "data/reviews.jsonl.gz"
    file.write_bytes(file.read_bytes()[:-500])
    said = refusal(crawled, INGEST)
    assert "reviews.jsonl.gz" in said
    assert "line" in said
    assert list((crawled / "results/crawled/corpus/iclr").glob("*")) == []


def test_bad_json_on_a_line(crawled, records):
    lines = [json.dumps(record) for record in records[1]]
    lines[6] = lines[6][:40]
    with gzip.open(crawled / "data/reviews.jsonl.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")
    said = refusal(crawled, INGEST)
    assert "reviews.jsonl.gz, line 7" in said


def test_a_year_without_a_rating_scale(crawled, records):
    papers, reviews = records
    write_jsonl_gz(crawled / "data/reviews.jsonl.gz", [review | {"year": 2031} for review in reviews])
    write_jsonl_gz(crawled / "data/papers.jsonl.gz", [paper | {"year": 2031} for paper in papers])
    said = refusal(crawled, INGEST)
    assert "2031" in said
    assert "rating_scales" in said


@pytest.mark.parametrize("table", ["papers", "reviews"])
def test_a_repeated_id(crawled, records, table):
    rows = records[0] if table == "papers" else records[1]
    key = "paper_id" if table == "papers" else "review_id"
    write_jsonl_gz(crawled / f"data/{table}.jsonl.gz", [*rows, rows[5] | {"title": "Another title of another paper"}])
    assert rows[5][key] in refusal(crawled, INGEST)


def test_an_empty_text_goes_to_the_ledger_with_its_reason(crawled, records):
    reviews = [review | {"review": "  "} if number == 3 else review for number, review in enumerate(records[1])]
    write_jsonl_gz(crawled / "data/reviews.jsonl.gz", reviews)
    run(crawled, INGEST, config=("studies=crawled",))
    counts = json.loads((crawled / INGEST).read_text())["counts"]["responses"]
    assert counts["read"] == len(reviews)
    assert [reason for reason in counts["dropped"] if "empty" in reason]


def test_no_accepted_paper(crawled, records):
    papers, reviews = records
    write_jsonl_gz(crawled / "data/papers.jsonl.gz", [paper | {"decision": "Reject"} for paper in papers])
    write_jsonl_gz(crawled / "data/reviews.jsonl.gz", [review | {"decision": "Reject"} for review in reviews])
    said = refusal(crawled, PAIRS)
    assert "decision" in said
    assert "accept" in said


def test_no_pair_is_left(crawled):
    study = crawled / "studies/crawled.yaml"
    study.write_text(study.read_text().replace("dpo: {corpus: iclr}", "dpo: {corpus: iclr, min_checkmark_diff: 200}"))
    said = refusal(crawled, PAIRS)
    assert "min_checkmark_diff" in said


@pytest.mark.parametrize("model", [{"path": "nowhere"}, {"name": "nobody/no-such-model"}])
def test_an_unknown_model(crawled, model):
    study = crawled / "studies/crawled.yaml"
    study.write_text(study.read_text() + f"models: {{text: {json.dumps({'tiny': None, **model})}}}\n")
    said = refusal(crawled, "results/crawled/models/text/manifest.json")
    assert next(iter(model.values())) in said


def test_a_full_disk_keeps_what_was_there(crawled):
    """A limit on the size of files stands for the full disk."""
    run(crawled, INGEST, config=("studies=crawled",))
    folder = crawled / "results/crawled/corpus/iclr"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    spec = '{"splits": {}, "near_duplicate_jaccard": 0.8, "near_duplicate_words": 18}'
    command = [sys.executable, "workflow_scripts/split.py", "--spec", spec]
    command += ["--prompts", folder / "prompts.parquet", "--splits", folder / "splits.parquet"]
    done = subprocess.run(
        [*command, "--manifest", folder / "splits.manifest.json"],
        cwd=crawled,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000)),
    )
    assert done.returncode == 2, done.stderr
    assert "no half-written file was left behind" in done.stderr
    assert "Traceback" not in done.stderr
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
