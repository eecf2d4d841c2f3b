"""Scores from labels: the rows of a judge, with nulls that are no "no", and a gate on them."""

import json

import pytest

import datasets_fixtures as made
from winnow.core.errors import WinnowError
from winnow.core.tables import PROMPTS, RESPONSES, write_table
from winnow.datasets.scores import read_scores

ANSWERS = {"sarcastic": "Yes", "not_sarcastic": "No"}
ROWS = [  # prompt, label, what responses say
    ("p0", "sarcastic", ("Yes", "No. It is meant.")),
    ("p1", "not_sarcastic", ("Yes, surely", "no")),
    ("p2", "sarcastic", ("Maybe",)),
]


def score(folder, rows=ROWS, **signal):
    prompts = [made.prompt_row(name, label=label, decision=None) for name, label, _ in rows]
    responses = [
        made.response_row(f"{name}-{place}", name, text=text, rating=None, rating_scale=None)
        for name, _, texts in rows
        for place, text in enumerate(texts)
    ]
    files = {"prompts": folder / "prompts.parquet", "responses": folder / "responses.parquet"}
    write_table(files["prompts"], prompts, PROMPTS, ["prompt_id"])
    write_table(files["responses"], responses, RESPONSES, ["response_id"])
    out = {"scores": folder / "scores.jsonl", "report": folder / "report.json", "manifest": folder / "manifest.json"}
    spec = {"signal": {"kind": "label"} | signal, "answers": {"posts": ANSWERS}}
    made.run_script("score_labels", spec=spec, **{key: f"posts={path}" for key, path in files.items()}, **out)
    return out


def test_rows_say_whether_a_response_says_its_prompts_label(tmp_path):
    out = score(tmp_path, gates={"max_null_rate": 0.2})
    rows = [json.loads(line) for line in out["scores"].read_text().splitlines()]
    found = {row["response_id"]: row["answers"]["agrees_with_label"] for row in rows}
    assert found == {"p0-0": "yes", "p0-1": "no", "p1-0": "no", "p1-1": "yes", "p2-0": None}
    unread = rows[-1]
    assert (unread["checkmark_max"], unread["checkmark_score"], unread["answered_share"]) == (0, None, 0.0)
    assert unread["parse_status"] == "failed"
    assert made.score_row("r").keys() <= rows[0].keys()  # all that a judge's rows have
    counts = {score.response_id: score.checkmark_count for score in read_scores(out["scores"], "posts")}
    assert counts == {"p0-0": 1, "p0-1": 0, "p1-0": 0, "p1-1": 1, "p2-0": 0}
    report = json.loads(out["report"].read_text())
    assert report["labels"] == [
        {"corpus": "posts", "label": "not_sarcastic", "n": 2, "yes": 1, "no": 1, "null": 0},
        {"corpus": "posts", "label": "sarcastic", "n": 3, "yes": 1, "no": 1, "null": 1},
    ]
    assert json.loads(out["manifest"].read_text())["counts"]["responses"]["kept"] == 5


def test_too_many_unread_responses_stop_the_run_and_the_report_stays(tmp_path):
    with pytest.raises(WinnowError, match=r"of 20\.00% of the responses the first word is no answer"):
        score(tmp_path, gates={"max_null_rate": 0.19})
    assert not (tmp_path / "scores.jsonl").exists()
    assert json.loads((tmp_path / "report.failed.json").read_text())["gates"][0]["value"] == 0.2


def test_a_response_without_its_prompt_is_an_error(tmp_path):
    folder = tmp_path
    score(folder, gates={"max_null_rate": 1.0})
    write_table(folder / "prompts.parquet", [made.prompt_row("p0", label="sarcastic")], PROMPTS, ["prompt_id"])
    spec = {"signal": {"kind": "label"}, "answers": {"posts": ANSWERS}}
    files = {key: f"posts={folder / key}.parquet" for key in ("prompts", "responses")}
    out = {key: folder / f"{key}.out" for key in ("scores", "report", "manifest")}
    with pytest.raises(WinnowError, match="its prompt p1 is not in"):
        made.run_script("score_labels", spec=spec, **files, **out)
