"""The lexical judge: its formula, what it leaves unanswered, and that a text's row depends on that text alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_fixtures import PROSE, checklist
from winnow.scoring import lexical
from winnow.scoring.lexical import Lexical
from winnow.scoring.matching import count_hits, count_tokens, normalised


def judged(text, **changes):
    return Lexical().judge([text], checklist(**changes).questions)[0]


@pytest.mark.parametrize(
    ("said", "changes", "answer", "p_yes"),
    [
        ("", {}, "no", 0.0),
        ("w0", {}, "yes", 0.5),  # exactly min_hits
        ("w0 and w0", {}, "yes", 0.75),
        ("W0", {}, "yes", 0.5),  # case does not matter
        ("w0", {"min_hits": 2}, "no", 0.292893),  # 1 - 2 ** -0.5
        ("w0 w0", {"min_hits": 2}, "yes", 0.5),
        ("w0 not w0", {"cues_against": [r"\bnot w0\b"]}, "yes", 0.5),  # two for, one against
        ("not w0", {"cues_against": [r"\bnot w0\b"]}, "no", 0.0),
        ("not w0 not w0", {"cues": ["nothing else"], "cues_against": [r"\bnot w0\b"]}, "no", 0.0),  # never below 0
        ("w\n0 w0", {"cues": ["w 0"]}, "yes", 0.5),  # a line break is a space
        ("it’s", {"cues": [r"\bit's\b"]}, "yes", 0.5),  # a curved quote is a straight one
        ("ｗ０", {}, "yes", 0.5),  # full-width letters are letters
    ],
)
def test_the_formula(said, changes, answer, p_yes):
    found = judged(f"{PROSE} {said}", **changes)
    assert (found.answers["says_w0"], found.p_yes["says_w0"]) == (answer, p_yes)
    assert found.parse_status == "ok"
    assert found.raw is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "fewer than 10 words"),
        ("Well done, w0.", "fewer than 10 words"),
        ("这篇论文提出了一种新的方法，实验结果很好，写作清楚。" * 3, "fewer than 10 words"),
        (
            "w0 is a word here among others in Latin script. "
            + "Статья хорошо написана и понятна всем читателям. " * 9,
            "Latin",
        ),
        ("Der Artikel beschreibt ein neues Verfahren, das wir gut finden, w0 w1 w2 und so weiter.", "not English"),
    ],
)
def test_what_cannot_be_read_is_not_answered(text, why):
    found = judged(text)
    assert set(found.answers.values()) == set(found.p_yes.values()) == {None}
    assert found.parse_status == "failed"
    assert why in found.raw


def test_greek_letters_of_formulas_do_not_make_a_review_unreadable():
    assert judged(f"{PROSE} " + "α β γ δ " * 30).parse_status == "ok"


def test_an_item_without_cues_is_left_unanswered_and_named():
    found = judged(f"{PROSE} w0 w1", cues=[])
    assert found.answers["says_w0"] is None
    assert found.p_yes["says_w0"] is None
    assert found.answers["says_w1"] == "yes"
    assert found.parse_status == "partial"
    assert "says_w0" in found.raw


@settings(deadline=None)
@given(st.lists(st.text(max_size=200) | st.just(f"{PROSE} w0 w3"), max_size=6))
def test_a_judgement_depends_on_its_own_text_alone(texts):
    questions = checklist().questions
    together = Lexical().judge(texts, questions)
    assert together == [Lexical().judge([text], questions)[0] for text in texts]
    for found in together:
        assert found.answers.keys() == found.p_yes.keys() == {item.id for item in questions}
        for item, answer in found.answers.items():
            assert answer == (None if found.p_yes[item] is None else "yes" if found.p_yes[item] >= 0.5 else "no")


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(1, 5))
def test_yes_means_at_least_min_hits(hits, min_hits):
    found = judged(f"{PROSE} " + "w0 " * hits, min_hits=min_hits)
    assert (found.answers["says_w0"] == "yes") == (hits >= min_hits)


def test_a_lone_surrogate_does_no_harm():
    assert judged(f"{PROSE} w0 \ud800").answers["says_w0"] == "yes"


def test_a_text_made_to_hang_a_backtracking_engine_passes():
    lines = normalised(["a" * 20_000])
    assert count_hits(lines, [r"(?:a+)+b"]) == [0]


def test_overlapping_cues_count_once():
    assert count_hits(normalised(["novel novelty"]), [r"\bnovel\w*", r"\bnovelty\b"]) == [2]


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("It's new.", 5), ("a  b\n c", 3), ("naïve café", 2), ("x_1 = 2", 3), ("新 方法", 2)]
)
def test_length_in_words_and_marks(text, tokens):
    assert count_tokens(normalised([text])) == [tokens]


def test_the_identity_stands_for_the_code(monkeypatch, tmp_path):
    before = Lexical().identity
    assert Lexical().identity == before
    (tmp_path / "lexical.py").write_text("# another formula")
    monkeypatch.setattr(lexical, "__file__", str(tmp_path / "lexical.py"))
    assert Lexical().identity.prompt_sha != before.prompt_sha
