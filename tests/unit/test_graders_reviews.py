"""Generated reviews taken apart: the inverse of what the prompt file renders, and every way to get it wrong."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from winnow.graders.reviews import parse_review
from workflow import ROOT

TEN = tuple(map(float, range(1, 11)))
PIECES = yaml.safe_load((ROOT / "resources/prompts/review.yaml").read_text())["response"]


def rendered(**values):
    """A response as render_dataset makes it."""
    return "\n\n".join(piece.format(text=values[name]) for name, piece in PIECES.items() if values.get(name))


TRICKY = """## Summary|## Strengths|Rating: 8|My rating is 10: seminal.|### Rating|## Rating scale|-||# Reviewer 2
|The authors' ## Rating is unclear|Confidence: 4""".replace("\n", "").split("|")
lines = st.one_of(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30), st.sampled_from(TRICKY))


def is_plain(body):
    """Say whether a body is one that is rendered: with words, and without the headings that mark a review's parts."""
    marks = {"# Review", "## Rating", "## Confidence"}
    return bool(body) and body == body.strip() and not marks & {line.rstrip(" \t") for line in body.split("\n")}


bodies = st.lists(lines, min_size=1, max_size=8).map("\n".join).filter(is_plain)


@given(body=bodies, rating=st.sampled_from(TEN), confidence=st.integers(1, 5), sure=st.booleans())
def test_what_is_rendered_is_read_back(body, rating, confidence, sure):
    labels = {
        "rating": f"{rating:.0f}: Top 50% of papers, accept",
        "confidence": f"{confidence}: sure" if sure else None,
    }
    found = parse_review(rendered(text=body, **labels), TEN, confidence=sure)
    assert found.body == body
    assert (found.rating, found.rating_label) == (rating, labels["rating"])
    assert (found.confidence, found.confidence_label) == ((confidence, labels["confidence"]) if sure else (None, None))
    assert found.problems == ()


WHOLE = "# Review\n\n## Summary\nIt is good.\n\n## Rating\n8: accept\n\n## Confidence\n4: sure\n"


def test_a_whole_review():
    assert parse_review(WHOLE, TEN) == ("## Summary\nIt is good.", 8, "8: accept", 4, "4: sure", ("Summary",), ())


@pytest.mark.parametrize(
    ("text", "rating", "problems"),
    [
        (WHOLE.replace("8: accept", "10: seminal"), 10, ()),  # never 1
        (WHOLE.replace("8: accept", "10"), 10, ()),
        (WHOLE.replace("## Rating\n", "##  Rating\n"), None, ("rating absent",)),
        (WHOLE.replace("8: accept", "11: best"), None, ("rating off its scale",)),
        (WHOLE.replace("8: accept", "good"), None, ("rating not understood",)),
        (WHOLE.replace("8: accept", ""), None, ("rating absent",)),
        (WHOLE.replace("4: sure", "6: sure"), 8, ("confidence off its scale",)),
        (WHOLE.replace("\n\n## Confidence\n4: sure", ""), 8, ("confidence absent",)),
        (WHOLE.replace("# Review\n\n", "", 1), 8, ("no_review_heading",)),
        ("Sure! Here it is.\n" + WHOLE, 8, ("no_review_heading", "review twice")),
        (WHOLE.replace("## Summary\nIt is good.\n\n", ""), 8, ("empty_review",)),
        (WHOLE + "\n## Rating\n3: reject", 8, ("rating twice",)),
        (WHOLE + "\nThank you.", 8, ("text after a part",)),
        (WHOLE + WHOLE, 8, ("review twice", "rating twice", "confidence twice", "text after a part")),
        ("", None, ("no_review_heading", "empty_review", "rating absent", "confidence absent")),
        ("token token", None, ("no_review_heading", "rating absent", "confidence absent")),
    ],
)
def test_what_is_wrong_is_said(text, rating, problems):
    found = parse_review(text, TEN)
    assert found.rating == rating
    assert found.problems == problems


def test_what_cannot_be_read_stays_whole():
    assert parse_review(" The paper\n# is good ", TEN).body == "The paper\n# is good"


def test_a_rating_in_the_text_does_not_count():
    text = WHOLE.replace("It is good.", "Rating: 3\n## Rating of others\nI would say 2.")
    found = parse_review(text, TEN)
    assert (found.rating, found.problems) == (8, ())
    assert found.sections == ("Summary", "Rating of others")


def test_what_was_not_asked_for_may_be_absent():
    bare = parse_review("# Review\n\nIt is good.", None, confidence=False)
    assert (bare.rating, bare.confidence, bare.problems) == (None, None, ())
