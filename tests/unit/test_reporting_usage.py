"""What a study cost, from accounting, benchmarks and the trainers' records, each with planted numbers."""

import json
import re
from pathlib import Path

import pytest

from report_fixtures import collect_usage, demo_study
from winnow.reporting.accounting import Accounting, parse
from winnow.reporting.usage import cost

RECORDED = (Path(__file__).parent / "sacct_22_05.txt").read_text()
SACCT = Accounting("sacct", answered=True, attempts=parse(RECORDED, Path("/home/ada/winnow")))
NONE = Accounting("there is no sacct on this machine", answered=False)


def benchmark(root, rule, name, *, seconds=36.0, extended=True, gpu=0, **wildcards):
    row = {"s": seconds, "max_rss": 300.0, "cpu_time": 9.0}
    if extended:
        row |= {"threads": 2, "resources": {"gpu": gpu, "mem_mb": 400}, "wildcards": {"study": "demo"} | wildcards}
    file = root / "benchmarks" / rule / f"{name}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(row) + "\n")


def usage(root, accounting=NONE):
    return collect_usage(demo_study(), root, accounting)


def rule(found, name):
    (row,) = (row for row in found["rules"] if row["rule"] == name)
    return row


def test_hours_of_a_rule_are_those_of_its_lines(tmp_path):
    """Computed again from the raw lines: seconds by GPUs, of every record that names the rule and the study."""
    found = usage(tmp_path, SACCT)
    for name in ("train_sft", "train_dpo", "judge_responses", "evaluate_run"):
        held = 0
        for line in RECORDED.splitlines():
            fields = line.split("\x1f")
            if fields[0].isdigit() and f"{name}:study=demo," in line:
                gpus = re.search(r"gres/gpu=(\d+)", fields[9])
                held += int(fields[4]) * (int(gpus[1]) if gpus else 0)
        assert rule(found, name)["gpu_hours"] == pytest.approx(held / 3600)
    assert found["total"]["gpu_hours"] == pytest.approx(sum(row["gpu_hours"] for row in found["rules"]))


def test_attempts_and_failures_add_up(tmp_path):
    found = usage(tmp_path, SACCT)
    assert rule(found, "evaluate_run")["failed"] == {"CANCELLED": 2, "REQUEUED": 1}
    assert rule(found, "evaluate_run")["attempts"] == 5
    assert rule(found, "evaluate_run")["jobs"] == 2
    train = rule(found, "train_sft")
    assert train["failed"] == {"FAILED": 1, "TIMEOUT": 1}
    assert train["failed_gpu_hours"] == pytest.approx(77 * 2 / 3600)
    assert train["wait_median_s"] == 1
    assert train["wait_longest_s"] == 3
    assert found["total"]["attempts"] == sum(row["attempts"] for row in found["rules"])
    named = sum(bool(attempt.jobs) for attempt in SACCT.attempts)
    other_study = 1
    assert found["total"]["attempts"] == named - other_study
    assert found["accounting"]["jobs_without_rule"] == len(SACCT.attempts) - named


def test_memory_is_that_of_the_attempt_nearest_to_its_limit(tmp_path):
    row = rule(usage(tmp_path, SACCT), "judge_responses")
    assert row["peak_mib"] == pytest.approx(477978624 / 2**20)
    assert row["memory_share"] == pytest.approx(row["peak_mib"] / 1500)


def test_the_total_names_a_peak_and_no_share(tmp_path):
    benchmark(tmp_path, "ingest", "papers", corpus="papers")  # 300 of 400 MiB: nearer to its limit, and smaller
    total = usage(tmp_path, SACCT)["total"]
    assert (total["peak_mib"], total["memory_share"]) == (pytest.approx(477978624 / 2**20), None)


def test_a_job_of_the_accounting_is_not_counted_again_from_its_benchmark(tmp_path):
    before = usage(tmp_path, SACCT)
    benchmark(tmp_path, "train_sft", "sft_clean", run="sft_clean", gpu=2)
    assert usage(tmp_path, SACCT) == before
    benchmark(tmp_path, "judge_responses", "old", extended=False)
    found = usage(tmp_path, SACCT)
    assert found["benchmarks_without_job"] == ["judge_responses/old.jsonl"]
    assert found["rules"] == before["rules"]


def test_a_job_that_ran_elsewhere_is_counted_from_its_benchmark(tmp_path):
    benchmark(tmp_path, "train_sft", "sft_lora_clean", run="sft_lora_clean", gpu=2)
    alone, both = usage(tmp_path), usage(tmp_path, SACCT)
    row = rule(alone, "train_sft")
    assert row["gpu_hours"] == pytest.approx(0.02)
    assert row["cpu_hours"] == pytest.approx(0.02)
    assert row["cpu_share"] == pytest.approx(9 / 72)
    assert row["memory_share"] == pytest.approx(0.75)
    assert row["attempts"] is row["failed"] is row["wait_median_s"] is row["failed_gpu_hours"] is None
    assert (row["jobs"], row["accounted_jobs"]) == (1, 0)
    row = rule(both, "train_sft")
    assert (row["jobs"], row["accounted_jobs"], row["attempts"]) == (2, 1, 3)
    assert row["gpu_hours"] == pytest.approx(0.02 + (77 + 34) * 2 / 3600)


def test_a_benchmark_fills_what_slurm_did_not_gather(tmp_path):
    blind = Accounting(
        "sacct",
        answered=True,
        attempts=parse(re.sub(r"\x1f\d{6,9}\x1f(?=cpu)", "\x1f\x1f", RECORDED), Path("/home/ada/winnow")),
    )
    assert rule(usage(tmp_path, blind), "train_sft")["peak_mib"] is None
    benchmark(tmp_path, "train_sft", "sft_clean", run="sft_clean")
    row = rule(usage(tmp_path, blind), "train_sft")
    assert (row["peak_mib"], row["asked_mib"], row["memory_share"]) == (300, 2000, 0.15)


def test_what_a_bare_benchmark_does_not_say_is_unknown(tmp_path):
    benchmark(tmp_path, "ingest", "papers", extended=False)
    benchmark(tmp_path, "split", "papers", corpus="papers")
    (tmp_path / "benchmarks/split/quick.jsonl").write_text(
        json.dumps({"s": 0.1, "max_rss": "NA", "cpu_time": "NA", "threads": 1, "resources": {}, "wildcards": {}}) + "\n"
    )
    found = usage(tmp_path)
    row = rule(found, "ingest")
    assert row["gpu_hours"] is row["cpu_hours"] is row["asked_mib"] is row["memory_share"] is None
    assert (row["elapsed_s"], row["peak_mib"]) == (36, 300)
    assert found["rules_of_unknown_hours"] == ["ingest"]
    assert found["total"]["cpu_hours"] == pytest.approx((36 * 2 + 0.1) / 3600)
    assert rule(found, "split")["peak_mib"] == 300


def test_nothing_is_unknown_not_zero(tmp_path):
    found = usage(tmp_path)
    assert found["rules"] == []
    assert found["total"]["gpu_hours"] is found["total"]["attempts"] is None
    assert {row["elapsed_s"] for row in found["runs"]} == {None}
    assert cost({}, set())["longest_s"] is None


def test_a_run_has_its_trainers_own_record(tmp_path):
    run = tmp_path / "runs" / "sft_clean"
    run.mkdir(parents=True)
    rows = [{"kind": "train", "tokens_per_second": speed, "peak_memory_mb": 1048.576} for speed in (100, 300, 200)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"kind": "eval"}]))
    record = tmp_path / "checkpoints" / "sft_clean" / "starts.jsonl"
    record.parent.mkdir(parents=True)
    lines = [
        {"event": "start", "from_step": 0},
        {"event": "start", "from_step": 20},
        {"event": "end", "outcome": "stopped"},
        {"event": "start", "from_step": 30},
        {"event": "end", "outcome": "finished"},
    ]
    record.write_text("".join(json.dumps(line) + "\n" for line in lines))
    row = next(row for row in usage(tmp_path, SACCT)["runs"] if row["run"] == "sft_clean")
    assert (row["tokens_per_second"], row["process_peak_mib"]) == (200, pytest.approx(1000))
    assert (row["starts"], row["resumed"], row["unfinished_starts"]) == (3, 2, 2)
    assert (row["attempts"], row["gpu_hours"]) == (3, pytest.approx((77 + 34) * 2 / 3600))
    other = next(row for row in usage(tmp_path)["runs"] if row["run"] == "sft_lora_clean")
    assert other["starts"] is other["tokens_per_second"] is other["gpu_hours"] is None
