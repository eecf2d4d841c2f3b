"""Verdicts: what is read of a response's first word, and what is not."""

import pytest

from winnow.graders.verdicts import agreement, read_verdict

ANSWERS = {"sarcastic": "Yes", "not_sarcastic": "No"}


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Yes", "sarcastic"),
        ("No", "not_sarcastic"),
        ("  yes.\nThe writer means the opposite.", "sarcastic"),
        ("**NO**, it is meant", "not_sarcastic"),
        ('"No" is my answer', "not_sarcastic"),
        ("No\u2014it is meant.", "not_sarcastic"),
        ("_Yes_", "sarcastic"),
        # Not an answer: never taken for one, and never for the other
        ("", None),
        ("...", None),
        ("Yes/No", None),
        ("No-one can tell", None),
        ("Yesterday", None),
        ("No's", None),
        ("Not sarcastic", None),
        ("It is sarcastic: yes", None),
        ("sarcastic", None),
    ],
)
def test_the_first_word_is_read_or_nothing_is(text, verdict):
    assert read_verdict(text, ANSWERS) == verdict
    for label in ANSWERS:
        assert agreement(text, label, ANSWERS) == (None if verdict is None else "yes" if verdict == label else "no")


def test_an_unknown_label_agrees_with_nothing():
    assert agreement("Yes", None, ANSWERS) is None
    assert agreement("Yes", "ironic", ANSWERS) is None


def test_other_words_for_the_labels():
    words = {"sarcastic": "Sarkastisch", "not_sarcastic": "Ernst"}
    assert read_verdict("ernst: er meint es", words) == "not_sarcastic"
    assert read_verdict("No", words) is None
