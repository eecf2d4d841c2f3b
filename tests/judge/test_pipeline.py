"""A study whose judge is a real vLLM engine, through Snakemake: from raw papers to gated scores."""

import json

import yaml

from judge.conftest import TINY
from winnow.core.files import read_json
from winnow.core.tables import read_rows
from workflow import run, snakemake

# A random model answers at random, so nothing of that is gated; the retest is, as the same bytes are due.
STUDY = {
    "extends": "demo",
    "study": "judged",
    "corpora": {"papers": {"papers": 6}},
    "signal": {
        "judge": {
            "backend": "vllm",
            "model": "judge",
            "gpu": 0,
            "max_model_len": 2048,
            "dtype": "bfloat16",
            "min_mass": 0,
            "threads": 2,
            "mem_mb": 6000,
        },
        "shards": 1,
        "gates": {"min_retest_kappa": 1.0, "max_order_flip_rate": None},
        "reliability": {"checks": ["retest"]},
    },
    "models": {"judge": {"tiny": TINY}},
}


def test_scores_by_a_real_engine_are_complete_steady_and_final(checkout, judge_environment):
    (checkout / "studies" / "judged.yaml").write_text(yaml.safe_dump(STUDY))
    config = (f'interpreters={{"judge": "{judge_environment}/bin/python"}}',)
    scores = "results/judged/scores/review_evaluations.jsonl"
    run(checkout, scores, config=config)
    results = checkout / "results" / "judged"
    rows = [json.loads(line) for line in (checkout / scores).read_text().splitlines()]
    assert [row["response_id"] for row in rows] == [
        row["response_id"] for row in read_rows(results / "corpus/papers/responses.parquet", ["response_id"])
    ]
    for row in rows:
        assert row["parse_status"] == "ok"
        assert row["checkmark_max"] == len(row["answers"]) == 25
        assert (row["judge"]["model"], row["judge"]["mode"]) == ("tiny", "item")
    assert len({row["checkmark_count"] for row in rows}) > 1
    report = read_json(results / "scores/judge_report.json")
    assert report["retest"]["flips"]["flips"] == 0
    assert report["retest"]["flips"]["n"] == 25 * len(rows)
    done = snakemake(checkout, "--dry-run", "--config", *config, "--", scores)
    assert "Nothing to be done" in done.stdout + done.stderr
