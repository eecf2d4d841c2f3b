"""Ratings, confidences and decisions: read whole or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.corpus.decisions import read_decision
from winnow.graders.ratings import read_rating

TEN = tuple(map(float, range(1, 11)))


@pytest.mark.parametrize(
    ("label", "value", "note"),
    [
        ("10: Top 5% of accepted papers, seminal paper", 10, None),  # never 1
        ("8: Top 50% of accepted papers, clear accept", 8, None),  # never 50
        ("6", 6, None),
        ("6.0", 6, None),
        (" 3 : Weak Reject ", 3, None),
        ("5. Marginal", 5, None),
        ("8 - accept", 8, None),
        ("0: none", None, "rating off its scale"),
        ("11", None, "rating off its scale"),
        ("6.5: between", None, "rating off its scale"),  # never 6
        ("6.5x", None, "rating not understood"),
        ("8-9", None, "rating not understood"),
        ("accept (8)", None, "rating not understood"),
        ("-8", None, "rating not understood"),
        ("8 stars", None, "rating not understood"),
        ("٣", None, "rating not understood"),
        ("", None, "rating absent"),
        (None, None, "rating absent"),
    ],
)
def test_reading_a_rating(label, value, note):
    assert read_rating(label, TEN) == (value, note)


def test_a_scale_is_a_set_and_not_a_range():
    assert read_rating("5: borderline", (1.0, 3.0, 6.0, 8.0)).note == "rating off its scale"


@given(st.sampled_from(TEN), st.sampled_from(["", ":", ": Good", " - fine", ".", ".0: Good"]))
def test_every_legal_rating_is_read_whole(value, rest):
    assert read_rating(f"{value:.0f}{rest}", TEN).value == value


@given(st.text(max_size=12))
def test_what_is_read_is_on_the_scale_and_stands_at_the_start(label):
    value, note = read_rating(label, TEN)
    assert (value is None) == (note is not None)
    if value is not None:
        assert value in TEN
        assert label.strip().startswith(f"{value:.0f}") or float(label.strip().split()[0].rstrip(":.-")) == value


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ("Decision:###Accept (Oral)", "accept"),
        ("Accept (Poster)", "accept"),
        ("Accept (Spotlight)", "accept"),
        ("Accept (Talk)", "accept"),
        ("Accept: notable-top-5%", "accept"),
        ("Accepted", "accept"),
        ("Decision:###Reject", "reject"),
        ("Rejected", "reject"),
        ("Decision:###Invite to Workshop Track", "workshop"),
        ("Withdrawn", "withdrawn"),
        ("N/A", "withdrawn"),
        ("Desk Reject", "withdrawn"),
    ],
)
def test_decisions_of_all_years(text, decision):
    assert read_decision(text) == (decision, None)


@pytest.mark.parametrize(
    "text", ["Accept conditionally", "Not accept", "pending", "Rejection withdrawn", "Accept (Maybe)"]
)
def test_a_decision_that_is_not_understood_is_null_and_noted(text):
    assert read_decision(text) == (None, f"decision not understood: {text}")


def test_an_absent_decision_is_null():
    assert read_decision(None) == (None, "decision absent")
    assert read_decision("  ") == (None, "decision absent")
