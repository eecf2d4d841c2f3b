"""The two scripts as rules call them: kills, second writers, shards, gates, and equal bytes."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest

from scoring_fixtures import (
    SCRIPTS,
    batch_spec,
    checklist_file,
    kept,
    prompts_table,
    responses_table,
    script,
    spec,
    texts,
)
from winnow.core.locks import held
from winnow.scoring.cache import judge_key
from winnow.scoring.checklist import load_checklist
from winnow.scoring.lexical import Lexical

COUNT = 3_000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    responses_table(folder / "responses.parquet", texts(COUNT))
    prompts_table(folder / "prompts.parquet", COUNT // 2)
    checklist_file(folder / "checklist.yaml")
    return folder


def judge_arguments(corpus, work, *, shard=0, shards=1, cache="cache", out="corpus", **changes):
    return {
        "spec": batch_spec(**changes),
        "checklist": corpus / "checklist.yaml",
        "responses": corpus / "responses.parquet",
        "shard": shard,
        "shards": shards,
        "cache": work / cache,
        "out": work / out / f"{shard}-of-{shards}.jsonl",
    }


def judge(corpus, work, **changes):
    arguments = judge_arguments(corpus, work, **changes)
    script("judge_responses", **arguments)
    return arguments["out"]


def start(corpus, work, **changes):
    arguments = judge_arguments(corpus, work, **changes)
    command = [sys.executable, str(SCRIPTS / "judge_responses.py")]
    command += [str(part) for key, value in arguments.items() for part in (f"--{key}", value)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True), arguments["out"]


def gather_arguments(corpus, work, judged, **changes):
    return {
        "spec": spec(**{"reliability": {"sample": 0}} | changes),
        "checklist": corpus / "checklist.yaml",
        "judged": [f"papers={path}" for path in judged],
        "prompts": f"papers={corpus / 'prompts.parquet'}",
        "responses": f"papers={corpus / 'responses.parquet'}",
        "scores": work / "scores.jsonl",
        "report": work / "judge_report.json",
        "manifest": work / "manifest.json",
    }


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """What one undisturbed shard gives, and its scores."""
    work = tmp_path_factory.mktemp("whole")
    out = judge(corpus, work)
    script("gather_scores", **gather_arguments(corpus, work, [out]))
    return work


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_response_has_one_row(corpus, whole):
    found = [row["response_id"] for row in rows(whole / "corpus" / "0-of-1.jsonl")]
    assert found == [f"r{n:05d}" for n in range(COUNT)]


def test_killed_again_and_again_and_resumed_the_bytes_are_the_same(corpus, whole, tmp_path):
    size, kills = 0, 0
    for _ in range(4):
        process, out = start(corpus, tmp_path)
        while process.poll() is None:
            now = sum(file.stat().st_size for file in tmp_path.rglob("cache/*/*.jsonl"))
            if now > size:
                process.send_signal(signal.SIGKILL)
                size = now
            time.sleep(0.001)
        kills += process.wait() == -signal.SIGKILL
        process.stderr.close()
        if process.returncode == 0:
            break
        assert not out.exists()
    assert kills >= 1
    script("judge_responses", **judge_arguments(corpus, tmp_path))
    assert out.read_bytes() == (whole / "corpus" / "0-of-1.jsonl").read_bytes()
    keys = [row["key"] for file in tmp_path.rglob("cache/*/*.jsonl") for row in kept(file)]
    assert len(keys) == len(set(keys)) == COUNT
    # Neither locks nor half-written files are left.
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    assert not list(tmp_path.rglob("*.lock"))


def test_two_writers_at_once_judge_each_text_once(corpus, whole, tmp_path):
    writers = [start(corpus, tmp_path) for _ in range(2)]
    for process, _ in writers:
        process.communicate()
    assert [process.returncode for process, _ in writers] == [0, 0]
    assert writers[0][1].read_bytes() == (whole / "corpus" / "0-of-1.jsonl").read_bytes()
    assert len([row for file in tmp_path.rglob("cache/*/*.jsonl") for row in kept(file)]) == COUNT


def test_a_second_writer_waits_and_takes_over(corpus, whole, tmp_path):
    folder = tmp_path / "cache" / judge_key(Lexical().identity, load_checklist(corpus / "checklist.yaml"))
    with held(folder / "corpus-0-of-1.jsonl.lock"):
        process, out = start(corpus, tmp_path)
        assert "waiting for another writer" in process.stderr.readline()
        # The first writer, which this test plays, ends its work.
        (made,) = whole.rglob("cache/*/*.jsonl")
        shutil.copy(made, folder / "corpus-0-of-1.jsonl")
    assert " 0 judged now" in process.communicate()[1]
    assert out.read_bytes() == (whole / "corpus" / "0-of-1.jsonl").read_bytes()


def test_three_shards_give_the_bytes_of_one(corpus, whole, tmp_path):
    judged = [judge(corpus, tmp_path, shard=shard, shards=3) for shard in (2, 0, 1)]
    script("gather_scores", **gather_arguments(corpus, tmp_path, judged, shards=3))
    for name in ("scores.jsonl", "judge_report.json", "manifest.json"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()


def test_other_shards_find_what_was_judged(corpus, whole, tmp_path):
    done = script("judge_responses", **judge_arguments(corpus, tmp_path, shards=2) | {"cache": whole / "cache"})
    assert " 0 judged now" in done.stderr


def test_a_limit_gives_the_rows_of_the_whole(corpus, whole, tmp_path):
    judged = [judge(corpus, tmp_path, shard=n, shards=3, limit=100) for n in range(3)]
    script("gather_scores", **gather_arguments(corpus, tmp_path, judged, limit=100, shards=3))
    drawn = (tmp_path / "scores.jsonl").read_text().splitlines()
    assert len(drawn) == 100
    assert set(drawn) < set((whole / "scores.jsonl").read_text().splitlines())
    counts = json.loads((tmp_path / "manifest.json").read_text())["counts"]["responses"]
    assert counts["dropped"] == {"not drawn by signal.limit": COUNT - 100}


LOOSE = {"max_item_null_rate": None, "max_quartile_null_rate": None}


@pytest.fixture
def unreadable(tmp_path):
    """A corpus in which 2 of 50 responses cannot be judged."""
    said = texts(50)
    said[7] = said[31] = "好" * 100
    said[31] += "吗"
    responses_table(tmp_path / "responses.parquet", said)
    prompts_table(tmp_path / "prompts.parquet", 25)
    checklist_file(tmp_path / "checklist.yaml")
    return tmp_path


def test_a_failed_gate_writes_the_report_and_no_scores(unreadable):
    arguments = gather_arguments(
        unreadable, unreadable, [judge(unreadable, unreadable)], gates=LOOSE | {"max_null_rate": 0.039}
    )
    for stale in ("scores", "manifest"):
        arguments[stale].write_text("of an earlier run")
    done = script("gather_scores", **arguments, check=False)
    assert done.returncode == 2
    assert "null_rate: 0.04 is above 0.039" in done.stderr
    assert not arguments["scores"].exists()
    assert not arguments["manifest"].exists()
    for name in ("judge_report.json", "judge_report.failed.json"):
        report = json.loads((unreadable / name).read_text())
        assert [one["name"] for one in report["gates"] if one["passed"] is False] == ["null_rate"]
        assert (report["gates"][0]["value"], report["gates"][0]["threshold"]) == (0.04, 0.039)
        assert report["parse_statuses"] == {"failed": 2, "ok": 48}


def test_a_gate_that_holds_lets_the_scores_through(unreadable):
    arguments = gather_arguments(
        unreadable, unreadable, [judge(unreadable, unreadable)], gates=LOOSE | {"max_null_rate": 0.04}
    )
    (unreadable / "judge_report.failed.json").write_text("of an earlier run")
    script("gather_scores", **arguments)
    found = {row["response_id"]: row for row in rows(arguments["scores"])}
    assert len(found) == 50
    assert (found["r00007"]["checkmark_max"], found["r00007"]["checkmark_score"]) == (0, None)
    assert set(found["r00007"]["answers"].values()) == {None}
    assert not (unreadable / "judge_report.failed.json").exists()


def test_a_run_without_any_response_stops(tmp_path):
    responses_table(tmp_path / "responses.parquet", [])
    prompts_table(tmp_path / "prompts.parquet", 3)
    checklist_file(tmp_path / "checklist.yaml")
    done = script("gather_scores", **gather_arguments(tmp_path, tmp_path, [judge(tmp_path, tmp_path)]), check=False)
    assert done.returncode == 2
    assert "gate null_rate" in done.stderr


def test_corpora_that_do_not_match_are_refused(corpus, whole, tmp_path):
    arguments = gather_arguments(corpus, tmp_path, [whole / "corpus" / "0-of-1.jsonl"])
    done = script("gather_scores", **arguments | {"prompts": f"other={corpus / 'prompts.parquet'}"}, check=False)
    assert done.returncode == 2
    assert "name the same corpora" in done.stderr


def test_a_shard_that_does_not_exist_is_refused(corpus, tmp_path):
    done = script("judge_responses", **judge_arguments(corpus, tmp_path, shard=2, shards=2), check=False)
    assert done.returncode == 2
    assert "count from 0" in done.stderr


@pytest.mark.parametrize("name", ["judge_responses", "gather_scores"])
def test_the_scripts_start_light(name):
    code = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import {name}; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("torch", "transformers", "pandas", "sklearn", "scipy", "datasets"):
        assert f"'{heavy}'" not in loaded
