"""The adapter for any file of rows: prompts shared by their text or id, optional columns, clear errors."""

import random

import pytest

from corpus_fixtures import ingest, words, write_lines
from winnow.core.config.corpora import JsonlCorpus
from winnow.core.errors import WinnowError


def spec(folder, rows, **more):
    path = write_lines(folder / "rows.jsonl", rows)
    settings = {"min_prompt_chars": 1, "min_response_chars": 1} | more
    return JsonlCorpus(adapter="jsonl", path=str(path), **settings)


def test_rows_with_equal_prompts_share_one(tmp_path):
    rows = [{"prompt": p, "response": r} for p, r in [("2 + 2?", "4"), ("2 + 2? ", "four"), ("3 + 3?", "4")]]
    made = ingest(spec(tmp_path, rows), tmp_path)
    assert sorted(row["body"] for row in made.prompts.values()) == ["2 + 2?", "3 + 3?"]
    assert len(made.responses) == 3  # the same answer to two problems is no duplicate
    by_text = {}
    for row in made.responses.values():
        by_text.setdefault(row["text"], set()).add(row["prompt_id"])
    assert {text: len(found) for text, found in by_text.items()} == {"4": 2, "four": 1}
    assert made.counts["prompts"]["read"] == 2


def test_optional_columns(tmp_path):
    row = {"q": "Why?", "a": "So.", "id": 17, "rid": "x1", "t": "A title", "d": "Accept (Poster)", "gt": 42, "l": True}
    row |= {"y": 2020, "when": "2020-01-01", "stars": 4, "sure": "5: very"}
    keys = {
        "prompt_key": "q",
        "response_key": "a",
        "prompt_id_key": "id",
        "response_id_key": "rid",
        "title_key": "t",
        "decision_key": "d",
        "ground_truth_key": "gt",
        "label_key": "l",
        "year_key": "y",
        "date_key": "when",
        "rating_key": "stars",
        "rating_scale": (5, 4, 3, 2, 1),
        "confidence_key": "sure",
    }
    made = ingest(spec(tmp_path, [row], **keys), tmp_path)
    prompt, response = made.prompts["17"], made.responses["x1"]
    found = tuple(prompt[key] for key in ("title", "body", "decision", "ground_truth", "label", "year"))
    assert found == ("A title", "Why?", "accept", "42", "true", 2020)
    assert (response["rating"], response["rating_label"], response["rating_scale"]) == (4.0, "4", [1, 2, 3, 4, 5])
    assert (response["confidence"], response["date"], response["author_kind"]) == (5.0, "2020-01-01", "human")
    assert prompt["source"] == "rows.jsonl"


def test_what_is_left_out(tmp_path):
    rows = [
        {"prompt": "One?", "response": "yes", "more": 1},
        {"prompt": "One?", "response": "yes", "more": 1},  # the same row again
        {"prompt": "One?", "response": "YES!", "more": 2},  # the same words
        {"prompt": None, "response": "orphan"},
        {"prompt": "One?", "response": "  "},
        {"prompt": "One?", "response": None},
    ]
    made = ingest(spec(tmp_path, rows), tmp_path)
    assert sorted(made.reasons.values()) == sorted(
        ["duplicate row", "duplicate text", "prompt is empty", "empty text", "empty text"]
    )
    assert made.counts["responses"]["read"] == 6
    assert len(made.responses) == 1


def test_the_order_of_rows_changes_no_byte(tmp_path):
    rows = [{"prompt": f"What is {n % 4}?", "response": words(f"w{n % 5}", 25), "n": n // 2} for n in range(30)]
    before = [path.read_bytes() for path in ingest(spec(tmp_path, rows), tmp_path).files]
    random.Random(3).shuffle(rows)
    assert [path.read_bytes() for path in ingest(spec(tmp_path, rows), tmp_path).files] == before


def test_duplicate_response_ids(tmp_path):
    rows = [{"prompt": "a", "response": "x", "id": "1"}, {"prompt": "b", "response": "y", "id": "1"}]
    with pytest.raises(WinnowError, match=r"row 2: response id '1' occurs a second time; the first is in .* row 1\b"):
        ingest(spec(tmp_path, rows, response_id_key="id"), tmp_path)


def test_rows_that_disagree_about_their_prompt(tmp_path):
    rows = [{"prompt": "a", "response": "x", "id": "1"}, {"prompt": "b", "response": "y", "id": "1"}]
    with pytest.raises(WinnowError, match="row 2: says other things about prompt '1' than row 1"):
        ingest(spec(tmp_path, rows, prompt_id_key="id"), tmp_path)


@pytest.mark.parametrize("key", ["response_key", "ground_truth_key", "rating_key", "confidence_key", "date_key"])
def test_a_missing_key_names_file_row_key_and_the_near_one(tmp_path, key):
    rows = [{"prompt": "a", "response": "x", "solution": "s"}, {"prompt": "b", "response": "y", "solutoin": "s"}]
    with pytest.raises(WinnowError, match=r"rows.jsonl, row 2: has no key 'solution'\n  fix: did you mean 'solutoin'"):
        ingest(spec(tmp_path, rows, rating_scale=(1, 2), **{key: "solution"}), tmp_path)


def test_an_empty_id(tmp_path):
    with pytest.raises(WinnowError, match="row 1: key 'id' is empty"):
        ingest(spec(tmp_path, [{"prompt": "a", "response": "x", "id": None}], prompt_id_key="id"), tmp_path)


def test_a_year_that_is_none(tmp_path):
    with pytest.raises(WinnowError, match="row 1: key 'y' holds 'MMXX', not a year"):
        ingest(spec(tmp_path, [{"prompt": "a", "response": "x", "y": "MMXX"}], year_key="y"), tmp_path)
