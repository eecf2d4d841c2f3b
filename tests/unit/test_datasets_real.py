"""How many candidate pairs the real reviews give, counted from the raw rows (issue 2, numbers to meet)."""

import gzip
import json
import re

import pytest

import datasets_fixtures as made
from real_data import REAL_DATA, needs_real_data
from winnow.datasets.pair import ContrastiveSpec, Taken, candidate_pairs, id_refusal
from winnow.datasets.scores import as_score

SPEC = ContrastiveSpec(
    stage="dpo", corpus="papers", policy="contrastive", min_checkmark_diff=0, neutral=None, min_answered=0.9
)


@pytest.fixture(scope="module")
def scores():
    """Score rows of the raw reviews by year, equal in all but rating and decision."""
    found = {}
    with gzip.open(REAL_DATA / "iclr_reviews" / "reviews.jsonl.gz", "rt", encoding="utf-8") as file:
        for raw in map(json.loads, file):
            if raw["is_meta_review"]:
                continue
            said, decision = ((raw[key] or "").rpartition("###")[2] for key in ("rating", "decision"))  # 2017's prefix
            rating = re.match(r"\s*(\d+)(?=\s*[:.\-]|\s*$)", said)
            row = made.score_row(
                raw["review_id"],
                raw["paper_id"],
                rating=float(rating[1]) if rating else None,
                decision="accept" if decision.startswith("Accept") else None,
            )
            found.setdefault(raw["year"], []).append(as_score(row))
    return found


@needs_real_data
@pytest.mark.parametrize(
    ("year", "by_rating", "about_neutral"), [(2017, 119, 50), (2018, 0, 0), (2019, 330, 182), (2020, 1081, 731)]
)
def test_candidate_pairs_by_rating_alone(scores, year, by_rating, about_neutral):
    counts = [
        sum(id_refusal(*pair, "train", spec, Taken()) is None for pair in candidate_pairs(scores[year]))
        for spec in (SPEC, SPEC.model_copy(update={"neutral": 5.0}))
    ]
    assert counts == [by_rating, about_neutral]
