"""Same input, same bytes: whatever the order of raw rows, the number of shards, and the number of cores."""

import hashlib

import pytest

from openreview_files import add_study
from workflow import copy_checkout, run

TABLES = ("*.parquet", "review_evaluations.jsonl", "validation.json", "judge_report.json")


def tables(checkout):
    """The hash of every table and report of data that the study has made."""
    results = checkout / "results" / "crawled"
    files = sorted(file for pattern in TABLES for file in results.rglob(pattern))
    return {str(file.relative_to(results)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def build(folder, demo_corpus, *, shards, cores, shuffle):
    checkout = copy_checkout(folder)
    add_study(checkout, demo_corpus, shuffle)
    study = checkout / "studies" / "crawled.yaml"
    study.write_text(study.read_text() + f"signal: {{shards: {shards}}}\n")
    run(checkout, "validation", cores=cores, config=("studies=crawled",))
    return tables(checkout)


@pytest.fixture(scope="module")
def expected(tmp_path_factory, finished_demo):
    corpus = finished_demo / "results/demo/corpus/papers"
    return build(tmp_path_factory.mktemp("first") / "checkout", corpus, shards=1, cores=1, shuffle=None)


@pytest.mark.parametrize(("shards", "cores", "shuffle"), [(1, 2, None), (3, 2, 5), (3, 1, 6)])
def test_the_tables_are_the_same(tmp_path, finished_demo, expected, shards, cores, shuffle):
    corpus = finished_demo / "results/demo/corpus/papers"
    assert len(expected) > 10
    assert build(tmp_path / "checkout", corpus, shards=shards, cores=cores, shuffle=shuffle) == expected
