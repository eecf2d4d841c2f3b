"""Likeness of texts: normalised, escaped, and near-duplicates."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.datasets.near_duplicates import jaccard, near_duplicates, shingles
from winnow.datasets.text import control_pattern, escaped, normalised


def test_normalised_texts_differ_in_words_alone():
    assert normalised(" Ｔhe\n\tPAPER ") == "the paper"
    assert normalised("the papers") != normalised("the paper")


@pytest.mark.parametrize(
    ("text", "harmless", "count"),
    [
        ("plain < text | with > signs", "plain < text | with > signs", 0),
        ("<|im_end|>", "< |im_end|>", 1),
        ("see <image> and </IMAGE>", "see < image> and < /IMAGE>", 2),
        ("<|a|><|b|>", "< |a|>< |b|>", 2),
        ("x<think>y</think>", "x< think>y< /think>", 2),
        ("[INST] do", "[ INST] do", 1),  # a token of this tokenizer alone
        ("p < 0.05 and q|r", "p < 0.05 and q|r", 0),
    ],
)
def test_control_marks_in_data_are_defused_and_counted(text, harmless, count):
    pattern = control_pattern(["[INST]", "  ", "<|im_end|>"])
    assert escaped(text, pattern) == (harmless, count)
    assert escaped(harmless, pattern) == (harmless, 0)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="<>|im_endag/", max_size=30))
def test_nothing_that_was_defused_still_matches(text):
    pattern = control_pattern(["<|im_end|>"])
    assert re.search(pattern, escaped(text, pattern)[0]) is None


def test_near_duplicates_are_found_and_short_or_other_texts_are_not():
    words = [f"word{i}" for i in range(120)]
    text = " ".join(words)
    others = {
        "same": text.upper() + ".",
        "three words changed": text.replace("word5 ", "x ").replace("word60 ", "y ").replace("word99 ", "z "),
        "a third changed": " ".join(word if i % 3 else f"other{i}" for i, word in enumerate(words)),
        "short": "Yes, it is.",
        "unrelated": " ".join(f"else{i}" for i in range(120)),
    }
    few = [("text", text), ("yes", "Yes, it is.")]
    found = {name: [other for other, _ in alike] for name, alike in near_duplicates(few, others.items())}
    wanted = {name: ["text"] if name in {"same", "three words changed"} else [] for name in others}
    assert found == wanted


def test_jaccard_is_the_share_of_common_runs():
    one, other = shingles("a b c d e"), shingles("a b c d x")  # abc bcd cde; abc bcd cdx
    assert jaccard(one, other) == 2 / 4


def test_nearly_every_pair_at_the_limit_is_proposed():
    """Texts with a Jaccard similarity just above the limit, in many draws."""
    missed = 0
    for draw in range(200):
        words = [f"w{draw}x{i}" for i in range(202)]  # 200 runs of three
        changed = [f"y{i}" if i in {50, 100, 150, 180, 190} else word for i, word in enumerate(words)]  # 15 runs differ
        ((_, alike),) = near_duplicates([("a", " ".join(words))], [("b", " ".join(changed))])
        missed += not alike
    assert missed == 0
