"""The synthetic corpus: the same every time, honest about what it is, and fit to show every later step."""

import statistics
from itertools import permutations

import pytest

from corpus_fixtures import ingest
from winnow.core.config.corpora import DemoCorpus
from winnow.corpus import demo_phrases


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return ingest(DemoCorpus(adapter="demo", papers=60), tmp_path_factory.mktemp("demo"))


def test_counts_add_up_and_every_row_says_that_it_is_synthetic(made):
    assert len(made.prompts) == 60
    assert len(made.responses) + len(made.rejected) == 240
    rows = [*made.prompts.values(), *made.responses.values(), *made.rejected.values()]
    assert {row["source"] for row in rows} == {"demo (synthetic)"}
    assert all(row["image_paths"] is None for row in made.prompts.values())


def test_every_paper_has_a_body_of_its_own(made):
    bodies = [row["body"] for row in made.prompts.values()]
    assert min(map(len, bodies)) > 2000
    assert len(set(bodies)) == 60
    assert not [
        row for row in (*made.prompts.values(), *made.responses.values()) if "{" in str(row)[1:].replace("': {", "")
    ]


def test_same_seed_same_bytes_other_seed_other_text(made, tmp_path):
    again = ingest(DemoCorpus(adapter="demo", papers=60), tmp_path)
    assert [path.read_bytes() for path in again.files] == [path.read_bytes() for path in made.files]
    other = ingest(DemoCorpus(adapter="demo", papers=60, seed=8), tmp_path)
    assert other.files.prompts.read_bytes() != made.files.prompts.read_bytes()


def test_more_papers_leave_the_first_as_they_were(made, tmp_path):
    more = ingest(DemoCorpus(adapter="demo", papers=61), tmp_path)
    assert {key: more.prompts[key] for key in made.prompts} == made.prompts


def aspects(text):
    """Return how many aspects of reviewing a text talks about, by the generator's own phrases."""

    def said(sentence):
        pieces = [piece for piece in sentence.replace("}", "{").split("{")[::2] if len(piece) > 12]
        return all(piece in text for piece in pieces)

    return sum(any(said(s) for pool in tones.values() for s in pool) for tones in demo_phrases.ASPECTS.values())


def test_thorough_reviews_and_high_ratings_go_together_but_are_not_the_same(made):
    rows = list(made.responses.values())
    counts, ratings = [aspects(row["text"]) for row in rows], [row["rating"] for row in rows]
    assert min(counts) <= 2
    assert max(counts) >= 14
    assert 0.2 < statistics.correlation(counts, ratings) < 0.8


def test_enough_contrastive_pairs_for_dpo(made):
    by_prompt = {}
    for row in made.responses.values():
        if made.prompts[row["prompt_id"]]["decision"] == "accept":
            by_prompt.setdefault(row["prompt_id"], []).append((row["rating"], aspects(row["text"])))
    pairs = sum(
        one[0] - two[0] >= 2 and one[0] > 5 >= two[0] and one[1] - two[1] >= 2
        for rows in by_prompt.values()
        for one, two in permutations(rows, 2)
    )
    assert pairs >= 15


def test_decisions_and_reasons_of_every_kind(made):
    decisions = {row["decision"] for row in made.prompts.values()}
    assert {"accept", "reject"} <= decisions <= {"accept", "reject", "workshop", "withdrawn"}
    assert {"placeholder", "refusal to review"} & set(made.reasons.values())
