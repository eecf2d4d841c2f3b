"""The numbers that the real reviews must give; skipped where they are absent."""

import random
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import permutations

import pytest

from corpus_fixtures import ingest, write_lines
from real_data import REAL_DATA, needs_real_data
from winnow.core.config.corpora import OpenReviewCorpus
from winnow.corpus.decisions import read_decision
from winnow.corpus.reading import read_records
from winnow.graders.ratings import read_rating

pytestmark = needs_real_data

FOLDER = REAL_DATA / "iclr_reviews"
PAPERS, REVIEWS = FOLDER / "papers.jsonl.gz", FOLDER / "reviews.jsonl.gz"


def spec(**more):
    settings = {"papers": str(PAPERS), "prompt_fields": ("title", "abstract"), "min_prompt_chars": 20} | more
    return OpenReviewCorpus(adapter="openreview", **settings)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return ingest(spec(reviews=str(REVIEWS)), tmp_path_factory.mktemp("iclr"))


@pytest.fixture(scope="module")
def of_2022(tmp_path_factory):
    models = sorted(str(path) for path in (FOLDER / "llm_reviews_2022").iterdir())
    body = {"prompt_fields": ("title", "abstract", "body"), "min_prompt_chars": 2000}
    corpus = spec(model_reviews=models, years=(2022,), author_kinds=("model",), **body)
    return ingest(corpus, tmp_path_factory.mktemp("iclr2022"))


def test_12055_records_in_and_none_lost(made):
    assert made.counts["responses"]["read"] == 12_055
    assert len(made.responses) + sum(row["kind"] == "response" for row in made.rejected.values()) == 12_055
    assert made.counts["prompts"]["read"] == 4_265
    assert len(made.prompts) + sum(row["kind"] == "prompt" for row in made.rejected.values()) == 4_265
    read = {year: counts["responses"]["read"] for year, counts in made.counts["by_year"].items()}
    assert read == {"2017": 1_488, "2018": 714, "2019": 3_759, "2020": 6_094, "2022": 0}


def test_366_meta_reviews_out(made):
    assert Counter(made.reasons.values())["meta-review"] == 366


def test_2018_has_no_ratings_and_nothing_else_lacks_one(made):
    rated = defaultdict(Counter)
    for row in made.responses.values():
        rated[made.prompts[row["prompt_id"]]["year"]][row["rating"] is not None] += 1
    assert set(rated[2018]) == {False}
    assert all(set(rated[year]) == {True} for year in (2017, 2019, 2020))


def test_candidate_pairs_by_rating_alone_on_the_raw_rows():
    decisions = {row.values["paper_id"]: read_decision(row.values["decision"])[0] for row in read_records(PAPERS)}
    scales = spec(reviews="").rating_scales
    ratings = defaultdict(list)
    for row in read_records(REVIEWS):
        values = row.values
        if decisions[values["paper_id"]] == "accept" and values["rating"] is not None:
            rating = read_rating(values["rating"].removeprefix("Rating:###"), scales[values["year"]])
            assert rating.note is None
            ratings[values["year"], values["paper_id"]].append(rating.value)
    wide, both = Counter(), Counter()
    for (year, _), found in ratings.items():
        for chosen, rejected in permutations(found, 2):
            wide[year] += chosen - rejected >= 2
            both[year] += chosen - rejected >= 2 and chosen > 5 >= rejected
    assert wide == {2017: 119, 2019: 330, 2020: 1_081}
    assert both == {2017: 50, 2019: 182, 2020: 731}


def test_no_crawlers_mark_is_left(made):
    texts = [row["text"] for row in made.responses.values()]
    texts += [row[key] or "" for row in made.prompts.values() for key in ("title", "abstract")]
    assert not [text for text in texts if text.startswith(("Comment:###", "Abstract:###", "~~", '"This'))]
    assert not [row["title"] for row in made.prompts.values() if (row["title"] or "").endswith("OpenReview")]
    of_2017 = [row["text"] for row in made.responses.values() if made.prompts[row["prompt_id"]]["year"] == 2017]
    assert not [text for text in of_2017 if "n*t " in text or "it*s " in text]
    assert sum("n't " in text for text in of_2017) > 200
    of_2018 = [row["text"] for row in made.responses.values() if made.prompts[row["prompt_id"]]["year"] == 2018]
    assert not [text for text in of_2018 if "\\n\\n" in text or "\\n-" in text]  # \\nabla may stay


def test_what_is_no_review_is_out(made):
    reasons = Counter(made.reasons.values())
    assert reasons["placeholder"] >= 1
    assert reasons["refusal to review"] >= 3
    assert reasons["note on withdrawal"] >= 1
    assert reasons["duplicate text"] == 3
    details = " ".join(row["detail"] or "" for row in made.rejected.values())
    assert "Putting the score for now" in details
    assert "Please assign to another reviewer" in details


def test_2022_papers_have_bodies_and_2346_reviews_of_models(of_2022):
    assert len(of_2022.prompts) == 391
    assert of_2022.counts["responses"] | {"notes": {}} == {"read": 2_346, "kept": 2_346, "dropped": {}, "notes": {}}
    assert min(len(row["body"]) for row in of_2022.prompts.values()) > 2_000
    assert all(row["title"] for row in of_2022.prompts.values())
    assert {row["author_kind"] for row in of_2022.responses.values()} == {"model"}
    assert all(row["rating"] is not None for row in of_2022.responses.values())
    assert all(row["text"].startswith("## Summary\n\n") for row in of_2022.responses.values())


LEAKS = (
    "anonymous authors", "double-blind", "blind review", "published as a conference", "under review as a conference",
    "equal contribution", "corresponding author", "https://", "http://", "github.com", "4open.science", "@gmail",
)  # fmt: skip


def test_2022_papers_do_not_tell_their_fate(of_2022):
    for row in of_2022.prompts.values():
        text = "\n".join(filter(None, (row["title"], row["abstract"], row["body"]))).lower()
        assert not [leak for leak in LEAKS if leak in text], row["prompt_id"]
        opening = (row["abstract"] or row["body"]).lstrip()
        assert not opening.startswith("**"), f"{row['prompt_id']} begins with a name: {opening[:60]}"


def test_shuffled_rows_give_the_same_bytes(tmp_path):
    papers = [row.values for row in read_records(PAPERS)]
    reviews = [row.values for row in read_records(REVIEWS) if row.values["year"] < 2019]

    def tables(name):
        folder = tmp_path / name
        folder.mkdir()
        files = {"papers": papers, "reviews": reviews}
        paths = {key: str(write_lines(folder / f"{key}.jsonl", rows)) for key, rows in files.items()}
        return [path.read_bytes() for path in ingest(spec(**paths), folder).files]

    before = tables("before")
    random.Random(0).shuffle(papers)
    random.Random(1).shuffle(reviews)
    assert tables("after") == before


def test_memory_stays_bounded(tmp_path):
    """All four years need well under half of the 1.5 GB that ingest to datasets may take."""
    code = (
        "import json, sys; sys.path.insert(0, 'workflow_scripts'); from pathlib import Path;"
        "from winnow.core.config.corpora import OpenReviewCorpus;"
        "from winnow.corpus.adapters import open_source; from winnow.corpus.ingest import Tables, build_tables;"
        f"spec = OpenReviewCorpus(adapter='openreview', min_prompt_chars=20, papers={str(PAPERS)!r},"
        f" reviews={str(REVIEWS)!r}); folder = Path({str(tmp_path)!r});"
        "build_tables(open_source(spec, 'iclr'), spec, Tables(folder / 'p', folder / 'r', folder / 'x'));"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 700_000  # kilobytes
