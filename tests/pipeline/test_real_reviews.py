"""A sample of the real reviews of ICLR 2017 to 2020, from raw records to the report."""

import gzip
import json
import math
import shutil

import pytest

from real_data import REAL_DATA, needs_real_data
from winnow.core.files import read_json
from winnow.core.ids import unit_interval
from winnow.core.tables import count_rows, read_rows
from workflow import copy_checkout, run

pytestmark = needs_real_data
SHARE = 0.12
# What takes long and shows nothing more.
LESS = {
    "max_steps: 24": "max_steps: 6",
    "context: 3072, response_tokens: 2048": "context: 2048, response_tokens: 1280",
    "max_loss_rows: 100": "max_loss_rows: 40",
}


def sampled(source, target):
    """Copy the records of a fixed share of papers; return how many there are."""
    target.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with gzip.open(source, "rt") as records, gzip.open(target, "wt") as sample:
        for line in records:
            if unit_interval(json.loads(line)["paper_id"], "sample") < SHARE:
                sample.write(line)
                count += 1
    return count


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The finished study `peer_review_small` on a sample, and the number of raw records in it."""
    checkout = copy_checkout(tmp_path_factory.mktemp("real") / "checkout")
    raw = {
        table: sampled(REAL_DATA / f"iclr_reviews/{table}.jsonl.gz", checkout / f"sample/iclr_reviews/{table}.jsonl.gz")
        for table in ("papers", "reviews")
    }
    shutil.copytree(REAL_DATA / "review_annotations", checkout / "sample/review_annotations")
    study = checkout / "studies" / "peer_review_small.yaml"
    settings = study.read_text()
    for setting, less in LESS.items():
        assert setting in settings
        settings = settings.replace(setting, less)
    study.write_text(settings)
    config = ("studies=peer_review_small", "data_root=sample")
    run(checkout, "results/peer_review_small/report.html", config=config)
    return checkout / "results/peer_review_small", raw


def test_every_raw_record_is_accounted_for(study):
    results, raw = study
    corpus = results / "corpus" / "iclr"
    rejected = [row["kind"] for row in read_rows(corpus / "rejected.parquet", ["kind"])]
    assert count_rows(corpus / "prompts.parquet") + rejected.count("prompt") == raw["papers"]
    assert count_rows(corpus / "responses.parquet") + rejected.count("response") == raw["reviews"]


def test_a_year_without_ratings_trains_nothing(study):
    results, _ = study
    years = {
        row["prompt_id"]: row["year"]
        for row in read_rows(results / "corpus/iclr/prompts.parquet", ["prompt_id", "year"])
    }
    used = {
        years[row["prompt_id"]]
        for dataset in ("sft", "dpo")
        for row in read_rows(results / f"datasets/{dataset}/chosen.parquet", ["prompt_id"])
    }
    assert 2018 in years.values()
    assert 2018 not in used
    assert {2019, 2020} <= used


def test_validation_passed_on_real_rows(study):
    results, _ = study
    for dataset in ("sft", "dpo"):
        assert read_json(results / f"datasets/{dataset}/clean/validation.json")["ok"] is True
        assert count_rows(results / f"datasets/{dataset}/clean/train.parquet") > 0


def test_training_began_where_it_must_and_learned(study):
    results, _ = study
    first_loss = read_json(results / "runs/dpo_clean-beta0.1/manifest.json")["first_loss"]
    assert first_loss == pytest.approx(math.log(2), abs=1e-5)
    heldout = {
        run: read_json(results / f"evaluation/heldout/{run}/metrics.json")["heldout"]
        for run in ("base_clean", "sft_clean")
    }
    assert heldout["sft_clean"]["loss_interval"][1] < heldout["base_clean"]["loss_interval"][0]


def test_the_judge_is_measured_against_people(study):
    results, _ = study
    agreement = read_json(results / "scores/judge_report.json")["human_agreement"]
    assert agreement
    assert (results / "report.html").stat().st_size > 50_000
