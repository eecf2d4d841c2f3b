"""The OpenReview adapter: each year's quirks, and that no record is lost."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_fixtures import LONG, ingest, paper, review, words, write_lines
from winnow.core.config.corpora import OpenReviewCorpus
from winnow.core.errors import WinnowError
from winnow.corpus.model_reviews import NotASectionError, render_review


def spec(folder, papers, reviews, **more):
    more = {"min_prompt_chars": 20, "prompt_fields": ("title", "abstract")} | more
    return OpenReviewCorpus(
        adapter="openreview",
        papers=str(write_lines(folder / "papers.jsonl.gz", papers)),
        reviews=str(write_lines(folder / "reviews.jsonl.gz", reviews)),
        **more,
    )


def test_2017(tmp_path):
    raw = {
        "title": "It*s a Title | OpenReview",
        "abstract": "Abstract:###We don*t know. " + words("a", 9),
        "decision": "Decision:###Invite to Workshop Track",
    }
    text = "It*s fine. " + LONG
    labels = {"rating": "Rating:###10: Top 5%", "confidence": "Confidence:###1: The reviewer*s guess"}
    made = ingest(spec(tmp_path, [paper("p", 2017, **raw)], [review("r", "p", 2017, review=text, **labels)]), tmp_path)
    prompt, response = made.prompts["p"], made.responses["r"]
    assert (prompt["title"], prompt["decision"]) == ("It's a Title", "workshop")
    assert prompt["abstract"].startswith("We don't know.")
    assert response["text"].startswith("It's fine.")
    assert (response["rating"], response["rating_label"]) == (10.0, "10: Top 5%")
    assert (response["confidence"], response["confidence_label"]) == (1.0, "1: The reviewer's guess")
    assert response["rating_scale"] == [float(n) for n in range(1, 11)]
    assert made.counts["by_year"]["2017"]["responses"]["notes"] == {"review: apostrophes restored": 1}


def test_2018(tmp_path):
    text = 'I call it "fine".\n\n- ' + LONG.strip()
    raw = review("r", "p", 2018, review=json.dumps(text), rating=None, confidence=None)
    made = ingest(spec(tmp_path, [paper("p", 2018, decision="Accepted")], [raw]), tmp_path)
    row = made.responses["r"]
    assert row["text"] == text
    assert (row["rating"], row["rating_label"], row["rating_scale"], row["confidence"]) == (None, None, None, None)
    assert made.prompts["p"]["decision"] == "accept"
    assert made.counts["responses"]["notes"]["rating absent"] == 1


def test_asterisks_are_apostrophes_in_2017_only(tmp_path):
    made = ingest(spec(tmp_path, [paper("p")], [review("r", "p", review="The net*s norm. " + LONG)]), tmp_path)
    assert made.responses["r"]["text"].startswith("The net*s norm.")


def test_latex_keeps_its_backslashes(tmp_path):
    made = ingest(spec(tmp_path, [paper("p")], [review("r", "p", review=r"With \nabla f and \nu. " + LONG)]), tmp_path)
    assert made.responses["r"]["text"].startswith(r"With \nabla f and \nu.")


def test_2020(tmp_path):
    struck = paper("p", 2020, title="~~A Thing We Withdrew~~", decision="N/A")
    made = ingest(
        spec(tmp_path, [struck], [review("r", "p", 2020, rating="6: Weak Accept", confidence=None)]), tmp_path
    )
    assert (made.prompts["p"]["title"], made.prompts["p"]["decision"]) == ("A Thing We Withdrew", "withdrawn")
    row = made.responses["r"]
    assert (row["rating"], row["rating_scale"]) == (6.0, [1.0, 3.0, 6.0, 8.0])
    assert (row["confidence"], row["confidence_label"]) == (None, None)


def test_a_rating_off_the_scale_of_its_year_is_null_and_noted(tmp_path):
    made = ingest(spec(tmp_path, [paper("p", 2020)], [review("r", "p", 2020, rating="5: Borderline")]), tmp_path)
    assert (made.responses["r"]["rating"], made.responses["r"]["rating_label"]) == (None, "5: Borderline")
    assert made.counts["responses"]["notes"]["rating off its scale"] == 1


def test_a_decision_that_nobody_knows_is_null_and_counted(tmp_path):
    made = ingest(spec(tmp_path, [paper("p", decision="Perhaps")], [review("r", "p")]), tmp_path)
    assert made.prompts["p"]["decision"] is None
    assert made.counts["prompts"]["notes"] == {"decision not understood: Perhaps": 1}


def test_every_reason_to_leave_a_record_out(tmp_path):
    papers = [
        paper("good"),
        paper("na", title="Na", abstract=None),
        paper("short", title="Nets", abstract="Short."),
        paper("frontless", text="# T\n\nAnn Author\n\n" + words("t", 900)),
        paper("old", 2013),
    ]
    reviews = [
        review("kept", "good"),
        review("meta", "good", is_meta_review=True),
        review("empty", "good", review="  \u200b \n"),
        review("brief", "good", review="Fine by me."),
        review("later", "good", review="I will post the full review tomorrow."),
        review("no", "good", review="Please assign this to another reviewer."),
        review("gone", "good", review="The paper was withdrawn, so I stop."),
        review("nowhere", "nobody"),
        review("otheryear", "good", 2020, rating="6: Weak Accept"),
        review("ofna", "na"),
        review("ofshort", "short"),
        review("offrontless", "frontless"),
        review("ofold", "old", 2013),
        review("zcopy", "good", review="  " + (LONG + words("kept", 30)).upper()),
    ]
    made = ingest(spec(tmp_path, papers, reviews, years=(2019, 2020)), tmp_path)
    front = "no heading ends the front matter, so authors cannot be taken out"
    assert made.reasons == {
        "na": "empty text",
        "short": "shorter than min_prompt_chars",
        "frontless": front,
        "old": "year not in years",
        "meta": "meta-review",
        "empty": "empty text",
        "brief": "shorter than min_response_chars",
        "later": "placeholder",
        "no": "refusal to review",
        "gone": "note on withdrawal",
        "nowhere": "prompt unknown",
        "otheryear": "prompt unknown",
        "ofna": "prompt rejected: empty text",
        "ofshort": "prompt rejected: shorter than min_prompt_chars",
        "offrontless": f"prompt rejected: {front}",
        "ofold": "year not in years",
        "zcopy": "duplicate text",
    }
    assert set(made.prompts) == {"good"}
    assert set(made.responses) == {"kept"}
    assert made.counts["prompts"]["read"] == 5
    assert made.counts["responses"]["read"] == 14
    assert made.rejected["zcopy"]["detail"] == "same text as kept"


def test_nearly_equal_reviews_are_kept_once_even_under_two_papers(tmp_path):
    text = words("w", 120)
    reviews = [review("r2", "a", review=text), review("r1", "b", review=text.replace("w60 ", "")), review("r3", "a")]
    made = ingest(spec(tmp_path, [paper("a"), paper("b")], reviews), tmp_path)
    assert set(made.responses) == {"r1", "r3"}
    assert made.reasons == {"r2": "near-duplicate text"}


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_byte(tmp_path_factory, shuffler):
    papers = [paper(f"p{n}", title="Na" if n == 3 else f"The paper with number {n}") for n in range(6)]
    reviews = [review(f"r{n}", f"p{n % 8}", review=LONG + words(f"v{n % 5}", 30)) for n in range(24)]

    def digest():
        folder = tmp_path_factory.mktemp("order")
        return [path.read_bytes() for path in ingest(spec(folder, papers, reviews), folder).files]

    before = digest()
    shuffler.shuffle(papers)
    shuffler.shuffle(reviews)
    assert digest() == before


def test_a_year_without_a_scale_is_an_error(tmp_path):
    with pytest.raises(WinnowError) as caught:
        ingest(spec(tmp_path, [paper("p", 2031)], [review("r", "p", 2031)]), tmp_path, "mine")
    assert "reviews.jsonl.gz, row 1: is of 2031" in str(caught.value)
    assert "corpora.mine.rating_scales" in str(caught.value)


def test_duplicate_ids_are_errors_that_name_both_rows(tmp_path):
    with pytest.raises(WinnowError, match=r"(?s)papers.jsonl.gz, row 2: prompt id 'p' .* row 1\b"):
        ingest(spec(tmp_path, [paper("p"), paper("p")], [review("r", "p")]), tmp_path)
    with pytest.raises(WinnowError, match=r"(?s)reviews.jsonl.gz, row 3: response id 'r' .* row 1\b"):
        ingest(spec(tmp_path, [paper("p")], [review("r", "p"), review("s", "p"), review("r", "p")]), tmp_path)


def test_a_failed_ingest_leaves_nothing_half_made(tmp_path):
    made = spec(tmp_path, [paper("p")], [review("r", "p"), {"review_id": "s"}])
    with pytest.raises(WinnowError, match="row 2: has no key 'year'"):
        ingest(made, tmp_path)
    assert not (tmp_path / "responses.parquet").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


CELLS = {
    "paper_id": "p",
    "Summary": "It does a thing.",
    "Strengths": "['Clear', \"It's new\"]",
    "Weaknesses": "['Slow\\nto train']",
    "Questions": "[]",
    "Limitations": "Only images.",
    "Overall": "7",
    "Confidence": "4",
}
RENDERED = (
    "## Summary\n\nIt does a thing.\n\n## Strengths\n\n- Clear\n- It's new\n\n"
    "## Weaknesses\n\n- Slow to train\n\n## Limitations\n\nOnly images."
)


def test_sections_of_a_model_become_markdown():
    assert render_review(CELLS) == RENDERED


@pytest.mark.parametrize("cell", ["['open", "[1, 2]", "[x for x in y]", "[[]]"])
def test_a_damaged_list_is_not_guessed_at(cell):
    with pytest.raises(NotASectionError):
        render_review(CELLS | {"Questions": cell})


def model_corpus(tmp_path, **more):
    name = tmp_path / "some-model_temp_0_1.csv"
    rows = [CELLS, CELLS | {"paper_id": "q", "Summary": "Other. " + words("q", 30), "Strengths": "['open"}]
    lines = [",".join(CELLS)] + [",".join('"' + cell.replace('"', '""') + '"' for cell in row.values()) for row in rows]
    name.write_text("\n".join(lines))
    body = "# T\n\nABSTRACT\n\n" + words("abstract", 20) + "\n\n1 INTRODUCTION\n\n" + words("body", 300)
    papers = [paper(key, 2022, title=None, abstract=None, text=body.replace("body", key)) for key in "pq"]
    return OpenReviewCorpus(
        adapter="openreview",
        papers=str(write_lines(tmp_path / "papers.jsonl", papers)),
        model_reviews=(str(name),),
        **more,
    )


def test_reviews_of_models(tmp_path):
    made = ingest(model_corpus(tmp_path, author_kinds=("model",), min_prompt_chars=1000), tmp_path)
    row = made.responses["p-some-model_temp_0_1"]
    assert row["text"] == RENDERED
    assert (row["author_kind"], row["source"], row["rating"], row["confidence"]) == (
        "model",
        "some-model_temp_0_1",
        7,
        4,
    )
    assert row["rating_scale"] == [float(n) for n in range(1, 11)]  # the models' form, not ICLR's of 2022
    assert made.prompts["p"]["body"].startswith("1 INTRODUCTION")
    assert made.reasons == {"q-some-model_temp_0_1": "section is a damaged list"}
    assert made.counts["by_year"]["2022"]["responses"]["kept"] == 1


def test_models_are_left_out_by_default(tmp_path):
    made = ingest(model_corpus(tmp_path, min_prompt_chars=1000), tmp_path)
    assert made.reasons["p-some-model_temp_0_1"] == "author_kind model not in author_kinds"
    assert not made.responses
