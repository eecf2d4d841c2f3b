"""Text cleaning: what goes, what stays, and that cleaning twice changes nothing."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.corpus import cleaning
from winnow.corpus.papers import _LEAK_LINE, LINK, leaks, split_paper, without_leaks

ANY_TEXT = st.text(st.characters(), max_size=60) | st.text("It*s' \n\r\x0b\x00\u200b\u0301e\ud800\u00a0", max_size=30)


@given(ANY_TEXT)
def test_normalising_twice_changes_nothing(text):
    once, _ = cleaning.normalise(text)
    assert cleaning.normalise(once) == (once, ())


@given(ANY_TEXT)
def test_normalised_text_can_be_stored_and_hides_nothing(text):
    clean, _ = cleaning.normalise(text)
    clean.encode("utf-8")
    assert not [c for c in clean if c in "\x00\x0b\r\u200b\u202e\ufeff"]


@given(ANY_TEXT)
def test_restoring_apostrophes_twice_changes_nothing(text):
    once, _ = cleaning.restore_apostrophes(text)
    assert cleaning.restore_apostrophes(once) == (once, False)


@pytest.mark.parametrize(
    ("raw", "clean", "flags"),
    [
        ("a\r\nb\rc\x0bd", "a\nb\nc\nd", ()),
        ("a \t\nb   ", "a\nb", ()),
        ("a\n\n\n\nb", "a\n\nb", ()),
        ("a\x07b\u200bc", "abc", ("invisible_characters", "control_characters")),
        ("e\u0301", "é", ()),  # composed
        ("e\u200b\u0301", "é", ("invisible_characters",)),  # composed after what stood between is gone
        ("x \ud800 y", "x \ufffd y", ("control_characters",)),
        ("a\tb * c", "a\tb * c", ()),  # tabs inside and Markdown stay
    ],
)
def test_normalise(raw, clean, flags):
    assert cleaning.normalise(raw) == (clean, flags)


@pytest.mark.parametrize(
    ("raw", "restored"),
    [
        ("It*s what we don*t and they*re", "It's what we don't and they're"),
        ("I*m sure the network*s DAE*s do", "I'm sure the network's DAE's do"),
        ("alpha*I + x*d and W*x", "alpha*I + x*d and W*x"),  # products
        ("the *soft* target, authors* code", "the *soft* target, authors* code"),  # emphasis, end of a word
        ("words that *don*t* work, *Google*s paper", "words that *don't* work, *Google's paper"),  # both at once
        ("WMT*14 and A*star", "WMT*14 and A*star"),
    ],
)
def test_apostrophes_of_2017(raw, restored):
    assert cleaning.restore_apostrophes(raw) == (restored, raw != restored)


def test_unwrapping_a_quoted_literal():
    text = 'He said "no".\n\n- a\tb \\nabla é'
    assert cleaning.unwrap(f"  {json.dumps(text)} ") == (text, True)


@pytest.mark.parametrize("text", ['"Attention" is all "you need"', '"open', '"', "", r"uses \nabla and \nu"])
def test_what_is_not_a_quoted_literal_stays(text):
    assert cleaning.unwrap(text) == (text, False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Putting the score for now, will post the full review tomorrow.", "placeholder"),
        ("Unfortunately I don't understand this paper. Please assign to another reviewer.", "refusal to review"),
        ("I know little about vision, so I cannot review this paper.", "refusal to review"),
        ("As the paper was withdrawn, I am not proceeding with the review.", "note on withdrawal"),
        ("TBD", "placeholder"),
        # Short, and yet reviews:
        ("It should have been withdrawn. The theoretical results are presented in a bitmap.", None),
        ("Clearly written. The experimental results are missing in table 2, the only placeholder.", None),
        ("This paper is not standalone. A section on the basics would have been nice.", None),
        ("I cannot review this paper without saying how much I liked it. " * 10, None),  # long
    ],
)
def test_records_that_are_no_reviews(text, reason):
    assert cleaning.why_no_review(text) == reason


@pytest.mark.parametrize(
    ("text", "is_edit"),
    [
        ("Nice.\n\nUPDATE: the authors answered my questions.", True),
        ("After reading the authors' rebuttal I am satisfied.", True),
        ("I have decided to increase my score to 7.", True),
        ("post-rebuttal: no change", True),
        ("The update rule: w is updated after each step.", False),
        ("I am willing to increase my score if the code is released.", False),
        ("I would raise the rating; please answer these questions in the rebuttal.", False),
        ("The paper is ready for revision.", False),
    ],
)
def test_rebuttal_edits_are_noticed(text, is_edit):
    assert cleaning.is_rebuttal_edit(text) is is_edit


PROSE = "Deep models fail when labels are few, and nobody knows why that should be so."


def test_a_paper_loses_what_stands_between_title_and_abstract():
    front = "# A BIG ID## EA\n## FOR US\n\n**Ann Author[∗]**\nUniversity of X\nann@x.edu\n\n"
    paper = split_paper(f"{front}ABSTRACT\n\n{PROSE}\n\n1 INTRODUCTION\n\nIt began.")
    assert paper == ("A BIG IDEA FOR US", PROSE, "1 INTRODUCTION\n\nIt began.")


def test_authors_behind_the_heading_go_too():
    """Parsers put the second column of names after the word ABSTRACT, in accepted papers only."""
    text = f"# T\n\nABSTRACT\n\n**Ann Author**\nSchool of Arts\nAnytown\n\n{PROSE}\n\n1 INTRODUCTION\n\nIt began."
    assert split_paper(text).abstract == PROSE


def test_anonymous_and_named_papers_become_equal():
    """The front matter of a rejected and of an accepted paper must leave no trace."""
    rest = f"ABSTRACT\n\n{PROSE}\n\n1 INTRODUCTION\n\nIt began.\n"
    rejected = "Under review as a conference paper at ICLR 2022\n# T\n\n**Anonymous authors**\n"
    rejected += "Paper under double-blind review\n\n"
    accepted = "Published as a conference paper at ICLR 2022\n# T\n\n**Ann[1]**\n1University of X\n{ann}@x.edu\n\n"
    footer = "_∗Equal contribution, work done while at X._\nPublished as a conference paper at ICLR 2022\n"
    assert split_paper(rejected + rest) == split_paper(accepted + rest + footer)


def test_without_an_abstract_heading_nothing_can_be_taken_out():
    assert split_paper(f"# T\n\nAnn Author\n\n{PROSE}") is None


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("One.\nUnder review as a conference paper at ICLR 2022\nTwo.", "One.\nTwo."),
        ("One.\nUnder review as a c", "One."),  # cut at 12,000 characters
        ("See https://github.com/ann/code for more.", "See  for more."),
        ("One.\n[1https://anonymous.4open.science/r/V](https://anonymous.4open.science/r/V)\nTwo.", "One.\nTwo."),
        ("One.\n# ACKNOWLEDGMENTS\nWe thank Ann.\n# 6 END\nTwo.", "One.\n# 6 END\nTwo."),
        ("It is widely accepted that we report recall@k here.", "It is widely accepted that we report recall@k here."),
    ],
)
def test_leaks_in_running_text(text, kept):
    assert without_leaks(text) == kept


def test_what_is_taken_out_is_never_printable():
    """So that a printable text need not be searched."""
    patterns = (cleaning._LINE_BREAK, cleaning._INVISIBLE, cleaning._CONTROL, cleaning._SURROGATE)
    hidden = {char for char in map(chr, range(sys.maxunicode + 1)) if any(p.fullmatch(char) for p in patterns)}
    assert hidden
    assert not any(char.isprintable() for char in hidden - {"\n"})


# One line for each alternative of the two expressions; each must be found although most lines are not searched.
LEAKS = [
    *("Published as a conference paper", "under review as a workshop", "Anonymous Authors", "Double-blind review"),
    *("anonymized code", "de-anonymised", "upon acceptance", "after publication", "Equally contributed"),
    *("contributed to it equally", "equal advising", "Corresponding author", "correspondence to a@b", "x@y.org"),
    *("Work done while at X", "part of this work", "contact information", "affiliated with X", "internship at X"),
    *("accepted to ICLR", "† Department of X", "University of X"),
]
LINKS = ["[x](HTTPS://a.b)", "[x]( mailto:a)", "see Www.a.b", "http://a", "GitHub.com/a/b", "bitbucket.org/a"]


@pytest.mark.parametrize("line", LEAKS)
def test_a_leak_is_found_in_either_case(line):
    for spelt in (line, line.upper(), f"  {line.lower()}" if "University" in line else line.lower()):
        assert _LEAK_LINE.search(spelt.lower())
        assert leaks(spelt)


@pytest.mark.parametrize("line", LINKS)
def test_a_link_is_taken_out_in_either_case(line):
    for spelt in (line, line.upper(), line.lower()):
        assert LINK.search(spelt)
        assert without_leaks(f"we say {spelt} more") == f"we say {LINK.sub('', spelt)} more"
