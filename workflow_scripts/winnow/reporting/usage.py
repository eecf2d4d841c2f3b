"""What a study cost: each job's attempts, from SLURM's accounting where it ran there, else from its benchmark file.

An attempt is counted once: a job that the accounting knows is counted from it alone, with every attempt; another by its
benchmark, which is its last attempt. What neither says is None.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from winnow.core.config.runs import ResolvedRun
from winnow.reporting.accounting import Accounting, Attempt, Job
from winnow.reporting.benchmarks import last_attempts

Jobs = tuple[Job, ...]
STARTS = "starts.jsonl"  # beside a run's checkpoints: one line when its trainer starts, one when it ends


def _study_of(attempt: Attempt) -> set[str | None]:
    return {dict(wildcards).get("study") for _, wildcards in attempt.jobs}


def _step(jobs: Jobs) -> str:
    """Return the rule of a job; of a group all its rules, since its cost cannot be divided."""
    return " + ".join(sorted({rule for rule, _ in jobs}))


def _hours(attempts: Iterable[Attempt], count: str) -> float | None:
    """Return the hours of all GPUs or CPUs that attempts held; None if it is unknown for any."""
    held = [(attempt.elapsed_s, getattr(attempt, count)) for attempt in attempts]
    if not held or any(number is None for _, number in held):
        return None
    return float(sum(seconds * number for seconds, number in held)) / 3600


def _memory(attempts: Iterable[Attempt]) -> dict[str, float | None]:
    """Return the peak nearest to what was asked for, and what that was."""
    found: dict[str, float | None] = {"peak_mib": None, "asked_mib": None, "memory_share": None}
    best = (-1.0, -1.0)
    for attempt in attempts:
        if attempt.peak_mib is None:
            continue
        share = attempt.peak_mib / attempt.asked_mib if attempt.asked_mib else None
        if (rank := (-1.0 if share is None else share, attempt.peak_mib)) > best:
            best = rank
            found = {"peak_mib": attempt.peak_mib, "asked_mib": attempt.asked_mib, "memory_share": share}
    return found


def _cpu_share(attempts: Iterable[Attempt]) -> float | None:
    """Return used over held CPU time of attempts that finished; what was killed leaves its time uncounted."""
    used = held = 0.0
    for attempt in attempts:
        if attempt.state == "COMPLETED" and attempt.cpu_used_s is not None and attempt.cpus:
            used += attempt.cpu_used_s
            held += attempt.cpus * attempt.elapsed_s
    return used / held if held else None


def cost(jobs: Mapping[Jobs, Sequence[Attempt]], accounted: set[Jobs]) -> dict[str, Any]:
    """Return what some jobs cost, as one row.

    Args:
        jobs: with all attempts of each that are known.
        accounted: those whose attempts are all known, from the accounting.
    """
    every = [attempt for attempts in jobs.values() for attempt in attempts]
    known = [attempt for job in jobs if job in accounted for attempt in jobs[job]]
    waits = [attempt.wait_s for attempt in known if attempt.wait_s is not None]
    failed = Counter(attempt.state for attempt in known if attempt.failed)
    return {
        "jobs": len(jobs),
        "accounted_jobs": sum(job in accounted for job in jobs),
        "attempts": len(known) if known else None,
        "failed": dict(sorted(failed.items())) if known else None,
        "unfinished": sum(not attempt.is_over for attempt in known),
        "gpu_hours": _hours(every, "gpus"),
        "failed_gpu_hours": (_hours((a for a in known if a.failed), "gpus") if failed else 0.0) if known else None,
        "cpu_hours": _hours(every, "cpus"),
        "wait_median_s": median(waits) if waits else None,
        "wait_longest_s": max(waits, default=None),
        "elapsed_s": sum(attempt.elapsed_s for attempt in every),
        "longest_s": max((attempt.elapsed_s for attempt in every), default=None),
        "cpu_share": _cpu_share(every),
        **_memory(every),
    }


def _merged(
    accounting: Accounting, study: str, benchmarks: Path
) -> tuple[dict[Jobs, list[Attempt]], set[Jobs], list[str]]:
    """Return the attempts of each job, the jobs that the accounting knows, and the benchmark files of no known job."""
    jobs: dict[Jobs, list[Attempt]] = defaultdict(list)
    for attempt in accounting.attempts:
        if _study_of(attempt) == {study}:
            jobs[attempt.jobs].append(attempt)
    accounted = set(jobs)
    accounted_steps = {_step(job) for job in accounted}
    unmatched = []
    for step, file, last in last_attempts(benchmarks):
        if not last.jobs and step in accounted_steps:
            unmatched.append(file)  # most likely counted already, and by which job is not said
        elif last.jobs in accounted:
            _add_measured(jobs[last.jobs], last)
        else:
            job = last.jobs or ((step, (("file", file),)),)
            jobs[job].append(replace(last, jobs=job))
    return dict(jobs), accounted, unmatched


def _add_measured(attempts: list[Attempt], last: Attempt) -> None:
    """Give the benchmark's memory and CPU time to the attempt that finished, where SLURM gathered none."""
    for at in reversed(range(len(attempts))):
        if attempts[at].state == "COMPLETED":
            peak, used = attempts[at].peak_mib, attempts[at].cpu_used_s
            attempts[at] = replace(
                attempts[at],
                peak_mib=last.peak_mib if peak is None else peak,
                cpu_used_s=last.cpu_used_s if used is None else used,
            )
            return


def _lines(file: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSONL file; none where there is no file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []


def _starts(file: Path) -> dict[str, int | None]:
    """Return how often a run's trainer started, how often from a checkpoint, and how often it came to no good end."""
    lines = _lines(file)
    started = [line for line in lines if line["event"] == "start"]
    finished = sum(line["event"] == "end" and line["outcome"] == "finished" for line in lines)
    if not started:
        return {"starts": None, "resumed": None, "unfinished_starts": None}
    resumed = sum(line["from_step"] > 0 for line in started)
    return {"starts": len(started), "resumed": resumed, "unfinished_starts": len(started) - finished}


def _logged(file: Path) -> dict[str, float | None]:
    """Return a training's median speed and the peak memory of its largest process, from its metrics."""
    rows = _lines(file)
    speeds = [row["tokens_per_second"] for row in rows if row.get("tokens_per_second") is not None]
    peaks = [row["peak_memory_mb"] for row in rows if row.get("peak_memory_mb") is not None]
    return {
        "tokens_per_second": median(speeds) if speeds else None,
        "process_peak_mib": max(peaks) * 1e6 / 2**20 if peaks else None,
    }


def _run(
    run: ResolvedRun, jobs: Mapping[Jobs, Sequence[Attempt]], accounted: set[Jobs], results: Path, checkpoints: Path
) -> dict[str, Any]:
    step = f"train_{run.stage}"
    own = {
        job: attempts
        for job, attempts in jobs.items()
        if any(rule == step and dict(wildcards).get("run") == run.name for rule, wildcards in job)
    }
    row = cost(own, accounted) | _starts(checkpoints / run.name / STARTS)
    row["elapsed_s"] = row["elapsed_s"] if own else None
    return {"run": run.name, "gpus": run.gpu, **row, **_logged(results / "runs" / run.name / "metrics.jsonl")}


def collect(
    study: str, runs: Sequence[ResolvedRun], *, results: Path, checkpoints: Path, accounting: Accounting
) -> dict[str, Any]:
    """Return what a study cost, for usage.json.

    Args:
        study: its name.
        runs: its trainings.
        results: its folder of results, with benchmarks/.
        checkpoints: its folder of checkpoints, with each run's record of starts.
        accounting: what SLURM knows of this checkout's jobs.
    """
    jobs, accounted, unmatched = _merged(accounting, study, results / "benchmarks")
    by_step: dict[str, dict[Jobs, Sequence[Attempt]]] = defaultdict(dict)
    for job, attempts in jobs.items():
        by_step[_step(job)][job] = attempts
    rules = [{"rule": step, **cost(found, accounted)} for step, found in by_step.items()]
    rules.sort(key=lambda row: (-(row["gpu_hours"] or 0), -row["elapsed_s"], row["rule"]))
    nameless = [attempt for attempt in accounting.attempts if not attempt.jobs]
    return {
        "study": study,
        "accounting": {
            "source": accounting.source,
            "answered": accounting.answered,
            "jobs_without_rule": len(nameless),
            "gpu_hours_without_rule": _hours(nameless, "gpus"),
        },
        "rules": rules,
        "runs": [_run(run, jobs, accounted, results, checkpoints) for run in runs],
        "total": _total(jobs, accounted, rules),
        "rules_of_unknown_hours": [
            row["rule"] for row in rules if row["gpu_hours"] is None or row["cpu_hours"] is None
        ],
        "benchmarks_without_job": unmatched,
    }


def _total(
    jobs: Mapping[Jobs, Sequence[Attempt]], accounted: set[Jobs], rules: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the row of all jobs: hours as far as they are known, and the largest peak, of no one request."""
    peaks = [attempt.peak_mib for attempts in jobs.values() for attempt in attempts if attempt.peak_mib is not None]
    return cost(jobs, accounted) | {
        "gpu_hours": _known_sum(rules, "gpu_hours"),
        "cpu_hours": _known_sum(rules, "cpu_hours"),
        "peak_mib": max(peaks, default=None),
        "asked_mib": None,
        "memory_share": None,
    }


def _known_sum(rows: Iterable[Mapping[str, Any]], key: str) -> float | None:
    known = [row[key] for row in rows if row[key] is not None]
    return sum(known) if known else None
