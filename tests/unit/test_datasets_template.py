"""What the system, the user and the assistant say."""

import pytest

import datasets_fixtures as made
from winnow.core.errors import WinnowError
from winnow.datasets.template import (
    cut_field,
    read_template,
    response_text,
    shown_fields,
    system_text,
    user_text,
)

TEMPLATE = read_template("review")


def response(**changes):
    return made.response_row("r0", text="It is good.") | changes


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"rating_label": "8: accept, good paper", "rating": 8.0, "confidence_label": "4"},
            "# Review\n\nIt is good.\n\n## Rating\n8: accept, good paper\n\n## Confidence\n4",
        ),
        ({"confidence": None, "confidence_label": None}, "# Review\n\nIt is good.\n\n## Rating\n6: marginally above"),
        ({"rating": None, "rating_label": None, "confidence": None}, "# Review\n\nIt is good."),
        # an unparsed rating is null although a label was there: it is not shown
        ({"rating": None, "rating_label": "great!", "confidence": None}, "# Review\n\nIt is good."),
        ({"rating_label": None, "rating": 6.0, "confidence": None}, "# Review\n\nIt is good.\n\n## Rating\n6"),
        ({"rating_label": None, "rating": 6.5, "confidence": None}, "# Review\n\nIt is good.\n\n## Rating\n6.5"),
        (
            {"text": "\n## Summary\n\nShort.\n", "rating": None, "confidence": None},
            "# Review\n\n## Summary\n\nShort.",
        ),
        ({"text": "braces {text} {rating}", "rating": None, "confidence": None}, "# Review\n\nbraces {text} {rating}"),
    ],
)
def test_the_response_shows_what_is_there(changes, text):
    found = response_text(TEMPLATE, response(**changes))
    assert found == text or (text.endswith("above") and found == text + " the acceptance threshold")


def test_the_system_turn_lists_the_parts_and_the_scale():
    sectioned = "## Strengths\n\nMany.\n\n## summary\n\nIt is.\n\n## My own heading\n\nWords."
    both = system_text(TEMPLATE, [response(text=sectioned)])
    assert "Summary, Strengths" in both
    assert "My own heading" not in both
    assert "1, 3, 5, 6, 8, 10" in both
    assert '"## Confidence"' in both
    free = system_text(TEMPLATE, [response(confidence=None)])
    assert "running text" in free
    assert '"## Confidence"' not in free


def test_a_pair_is_asked_for_what_both_responses_have():
    chosen = response(text="## Summary\n\na\n\n## Strengths\n\nb")
    rejected = response(text="## Summary\n\nc\n\n## Weaknesses\n\nd", confidence=None)
    assert "each of: Summary\n" in system_text(TEMPLATE, [chosen, rejected])
    assert '"## Confidence"' not in system_text(TEMPLATE, [chosen, rejected])
    assert system_text(TEMPLATE, [chosen, rejected]) == system_text(TEMPLATE, [rejected, chosen])


def test_two_scales_cannot_answer_one_prompt():
    with pytest.raises(WinnowError, match="two rating scales"):
        system_text(TEMPLATE, [response(), response(rating_scale=[1.0, 2.0, 6.0])])


def test_the_instruction_comes_before_the_paper_and_empty_fields_are_left_out():
    prompt = made.prompt_row("p0", title="On it", abstract=" \n", body="The body.")
    fields = shown_fields(prompt, ("title", "abstract", "body"))
    assert user_text(TEMPLATE, fields) == f"{TEMPLATE.instruction}\n\n# On it\n\n## Full text\n\nThe body."
    assert list(shown_fields(prompt, ("body", "title"))) == ["body", "title"]


def test_the_body_gives_way_and_without_one_the_longest_field():
    assert cut_field({"title": "a" * 9, "body": "b"}) == "body"
    assert cut_field({"title": "a" * 9, "abstract": "b"}) == "title"


def test_a_template_that_is_not_there_or_has_a_wrong_key_is_named(tmp_path):
    with pytest.raises(WinnowError, match=r"no such file"):
        read_template("revue", tmp_path)
    (tmp_path / "bad.yaml").write_text("intro: x\ninstructions: y\n")
    with pytest.raises(WinnowError, match="did you mean 'instruction'"):
        read_template("bad", tmp_path)
