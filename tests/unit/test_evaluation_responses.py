"""Generated reviews as a table like a corpus's, by the script, and judged by the script that judges a corpus."""

import json
import sys

import pytest

import gather_generations
import judge_responses
from winnow.core.errors import WinnowError
from winnow.core.ids import sha256_text
from winnow.core.tables import RESPONSES, read_rows, write_table
from workflow import ROOT

WHOLE = "# Review\n\nThe paper is novel, see Section 3.\n\n## Rating\n{}: accept\n\n## Confidence\n4: sure"


def generation(run, prompt_id, sample, text, stop_reason="stop"):
    return {
        "id": f"{run}/{prompt_id}/{sample}",
        "run": run,
        "prompt_id": prompt_id,
        "sample": sample,
        "decoding": "sampled" if sample else "greedy",
        "text": text,
        "token_ids": [1],
        "tokens": 1,
        "stop_reason": stop_reason,
    }


def human(number, prompt_id, scale, confidence):
    row = dict.fromkeys(RESPONSES.names)
    known = {"response_id": f"r{number}", "prompt_id": prompt_id, "text": "Good.", "flags": [], "source": "x"}
    known |= {"rating_scale": scale, "confidence_label": confidence, "author_kind": "human"}
    return row | known | {"text_sha256": sha256_text("Good.")}


@pytest.fixture
def responses(tmp_path):
    """Two papers: one rated to 10 with a confidence throughout, one to 8 where one review gives none."""
    rows = [human(0, "p0", [1.0, 6.0, 10.0], "4: sure"), human(1, "p0", [1.0, 6.0, 10.0], "3")]
    rows += [human(2, "p1", [1.0, 8.0], "4: sure"), human(3, "p1", [1.0, 8.0], None), human(4, "p2", None, None)]
    write_table(tmp_path / "corpus.parquet", rows, RESPONSES, ["response_id"])
    return tmp_path / "corpus.parquet"


def gather(monkeypatch, tmp_path, responses, **runs):
    arguments = ["--spec", '{"study": "demo"}', "--responses", responses, "--generations"]
    for run, rows in runs.items():
        file = tmp_path / f"{run}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        arguments.append(f"{run}={file}")
    arguments += ["--out", tmp_path / "responses.parquet", "--manifest", tmp_path / "responses.manifest.json"]
    monkeypatch.setattr(sys, "argv", ["gather_generations.py", *map(str, arguments)])
    gather_generations.main()
    found = {row["response_id"]: row for row in read_rows(tmp_path / "responses.parquet")}
    return found, json.loads((tmp_path / "responses.manifest.json").read_text())["counts"]


def test_reviews_are_read_flagged_and_counted(monkeypatch, tmp_path, responses):
    no_confidence = WHOLE.format(8).partition("\n\n## Confidence")[0]
    sft = [
        generation("sft", "p0", 0, WHOLE.format(10)),
        generation("sft", "p0", 1, WHOLE.format(8)),  # on the scale of the other paper
        generation("sft", "p1", 0, no_confidence),
        generation("sft", "p0", 2, no_confidence.replace("8", "6")),
    ]
    base = [generation("base_clean", "p1", 0, "the the the", "length"), generation("base_clean", "p1", 1, "")]
    found, counts = gather(monkeypatch, tmp_path, responses, sft=sft, base_clean=base)
    whole = found["sft/p0/0"]
    assert whole["text"] == "The paper is novel, see Section 3."
    assert (whole["rating"], whole["rating_label"], whole["rating_scale"]) == (10, "10: accept", [1, 6, 10])
    assert (whole["confidence"], whole["author_kind"], whole["source"]) == (4, "model", "sft")
    assert whole["text_sha256"] == sha256_text(whole["text"])
    assert {key: row["flags"] for key, row in found.items()} == {
        "sft/p0/0": [],
        "sft/p0/1": ["rating off its scale"],
        "sft/p0/2": ["confidence absent"],
        "sft/p1/0": [],
        "base_clean/p1/0": ["no_review_heading", "rating absent", "cut_off"],
        "base_clean/p1/1": ["no_review_heading", "empty_review", "rating absent"],
    }
    assert found["sft/p0/1"]["rating"] is None
    assert found["base_clean/p1/0"]["text"] == "the the the"
    assert counts["sft"]["kept"] == 4
    assert counts["sft"]["notes"] == {"confidence absent": 1, "not valid": 2, "rating off its scale": 1, "valid": 2}
    assert counts["base_clean"]["notes"]["cut_off"] == 1


def test_a_prompt_that_the_corpus_lacks_is_an_error(monkeypatch, tmp_path, responses):
    with pytest.raises(WinnowError, match=r"sft/p9/0: answers no prompt of the corpus"):
        gather(monkeypatch, tmp_path, responses, sft=[generation("sft", "p9", 0, "x")])


def test_without_ratings_none_is_missed(monkeypatch, tmp_path, responses):
    found, _ = gather(monkeypatch, tmp_path, responses, sft=[generation("sft", "p2", 0, "# Review\n\nGood.")])
    assert (found["sft/p2/0"]["flags"], found["sft/p2/0"]["rating_scale"]) == ([], None)


def test_the_judge_takes_the_table_like_a_corpus(monkeypatch, tmp_path, responses):
    long = WHOLE.format(6).replace("Section 3.", "Section 3. " + "The authors do not compare to the baselines. " * 8)
    rows = [generation("sft", "p0", sample, text) for sample, text in enumerate((long, "", "the the"))]
    gather(monkeypatch, tmp_path, responses, sft=rows)
    arguments = ["--spec", '{"judge": {"backend": "lexical"}}', "--checklist", ROOT / "resources/checklists/iclr.yaml"]
    arguments += ["--responses", tmp_path / "responses.parquet", "--shard", 0, "--shards", 1]
    arguments += ["--cache", tmp_path / "cache", "--out", tmp_path / "judged" / "generated-papers" / "0-of-1.jsonl"]
    monkeypatch.setattr(sys, "argv", ["judge_responses.py", *map(str, arguments)])
    judge_responses.main()
    judged = [json.loads(line) for line in (tmp_path / "judged/generated-papers/0-of-1.jsonl").read_text().splitlines()]
    assert [row["response_id"] for row in judged] == [f"sft/p0/{sample}" for sample in range(3)]
    assert set(judged[0]["answers"].values()) <= {"yes", "no"}
    assert {answer for row in judged[1:] for answer in row["answers"].values()} == {None}  # nothing there to be judged
