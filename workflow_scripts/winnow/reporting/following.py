"""How far a study is: from its files, its logs and the locks of its writers, while it runs and after."""

import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from winnow.core.config.studies import ResolvedStudy
from winnow.core.files import read_json
from winnow.core.locks import Holder, holder
from winnow.core.log import duration, is_progress
from winnow.reporting.steps import JUDGING, STEPS, TRAINING, Names, Step
from winnow.reporting.usage import STARTS

SILENT_AFTER_S = 120.0  # a job that has no lock and said nothing for this long may have been cut off


class State(Enum):
    """What is known of a job; the values are for people."""

    DONE = "done"
    RUNNING = "running"
    FAILED = "FAILED"
    CUT_OFF = "cut off"
    SILENT = "silent"
    TO_DO = "to do"


@dataclass(frozen=True)
class Job:
    """One job of a step.

    Attributes:
        names: what stands for its wildcards.
        state: see State.
        told: how far it is, or why it failed; empty where there is nothing to tell.
        log: its log below the checkout, where that tells more.
        touched: when it last said something, in seconds since 1970; 0 where it never did.
    """

    names: Names
    state: State
    told: str = ""
    log: Path | None = None
    touched: float = 0.0


@dataclass(frozen=True)
class Followed:
    """A step with its jobs, and what its manifests count: kind of row → read, kept, dropped."""

    step: Step
    jobs: tuple[Job, ...]
    counts: Mapping[str, Counter[str]]


def follow(study: str, settings: ResolvedStudy | None, root: Path, now: float | None = None) -> list[Followed]:
    """Return every step of which a study wants a job or has one, in their order.

    Args:
        study: its name.
        settings: of the study as it is now; None if they cannot be read, and then only what has begun is known.
        root: of the checkout.
        now: the time, in seconds since 1970.
    """
    results, now = root / "results" / study, time.time() if now is None else now
    found = []
    for step in STEPS:
        asked = step.asked(settings) if settings and step.asked else []
        both = {*asked, *_own(step, step.begun(results), results)}
        jobs = tuple(_job(step, job, study, root, now) for job in sorted(both, key=_order))
        if jobs:
            manifests = [results / step.done.format(**dict(job.names)) for job in jobs if job.state is State.DONE]
            found.append(Followed(step, jobs, _counts(manifests)))
    return found


def _own(step: Step, begun: set[Names], results: Path) -> set[Names]:
    """Leave out jobs of another step that ends with a file of the same name: those have no log of this one."""
    shared = [other for other in STEPS if other.done == step.done]
    if len(shared) == 1:
        return begun
    return {job for job in begun if (results / step.log_file.format(**dict(job))).exists()}


def _order(job: Names) -> list[tuple[str, int, str]]:
    """Sort numbers as numbers."""
    return [(key, int(value) if value.isdigit() else -1, value) for key, value in job]


def _job(step: Step, job: Names, study: str, root: Path, now: float) -> Job:
    """Say what is known of a job."""
    values, results = dict(job), root / "results" / study
    if (results / step.done.format(**values)).exists():
        return Job(job, State.DONE)
    log = Path("results", study, step.log_file.format(**values))
    try:
        lines = (root / log).read_text(encoding="utf-8", errors="replace").splitlines()
        touched = (root / log).stat().st_mtime
    except FileNotFoundError:
        return Job(job, State.TO_DO)
    held = _holder(step, values, study, root)
    if held is not None and held.is_gone:
        gone = f"its writer, process {held.pid} on {held.host}, is gone; the next run goes on from what it had done"
        return Job(job, State.CUT_OFF, gone, log, touched)
    if held is None and (error := _error(lines)):
        return Job(job, State.FAILED, error, log, touched)
    if held is None and now - touched > SILENT_AFTER_S:
        text = f"nothing said for {duration(now - touched)}: cut off, or busy; {_last(lines)}"
        return Job(job, State.SILENT, text, log, touched)
    told = _training(values["run"], lines, root / "checkpoints" / study, now) if step is TRAINING else None
    return Job(job, State.RUNNING, told or f"{_last(lines)} ({duration(now - touched)} ago)", log, touched)


def _holder(step: Step, values: Mapping[str, str], study: str, root: Path) -> Holder | None:
    """Return who holds the lock of a job, None where nobody does or its step has none."""
    if step is TRAINING:
        return holder(root / "checkpoints" / study / values["run"] / "writer.lock")
    if step is JUDGING:
        name = "{batch}-{shard}-of-{shards}.jsonl.lock".format(**values)
        held = [found for lock in (root / "cache" / "judge").glob(f"*/{name}") if (found := holder(lock))]
        # A checklist or a judge of earlier may have left one behind, in a folder of its own.
        return min(held, key=lambda found: (found.is_gone, found.silent_s), default=None)
    return None


def _error(lines: list[str]) -> str | None:
    """Return why a job failed, None if its log ends without an error."""
    starts = [at for at, line in enumerate(lines) if line.startswith(("error: ", "Traceback (most recent call last)"))]
    if not starts:
        return None
    if lines[starts[-1]].startswith("error: "):
        return lines[starts[-1]].removeprefix("error: ")
    return next((line for line in reversed(lines) if line.strip()), None)


def _last(lines: list[str]) -> str:
    """Return how far a log says that its job is, else the last thing that it says."""
    said = [re.sub(r"^\[ *[\d.]+ s\] ", "", line) for line in lines if re.match(r"\[ *[\d.]+ s\] ", line)]
    return next((line for line in reversed(said) if is_progress(line)), said[-1] if said else "it has begun")


def _json_lines(file: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a file that may be written at this moment; none if it is not there."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1] if line]


def _training(run: str, log: list[str], checkpoints: Path, now: float) -> str | None:
    """Say at which step a training is, with its loss and the time that is left; None before its first step.

    The pace is that of this start: from the line in starts.jsonl to the last line of metrics.jsonl, by the times at
    which the files were written.
    """
    starts = _json_lines(checkpoints / run / STARTS)
    if not starts or starts[-1]["event"] != "start":
        return None
    metrics = checkpoints / run / starts[-1]["identity"] / "metrics.jsonl"
    rows = [row for row in _json_lines(metrics) if row["kind"] == "train"]
    if not rows:
        return None
    step, loss, from_step = rows[-1]["step"], rows[-1]["loss"], starts[-1]["from_step"]
    planned = [int(match[1]) for line in log if (match := re.search(r"training .+(?:from the start,|of) (\d+)", line))]
    total = planned[0] if planned else None
    text = f"step {step} of {total}, loss {loss:.4g}" if total else f"step {step}, loss {loss:.4g}"
    written = metrics.stat().st_mtime
    took = written - (checkpoints / run / STARTS).stat().st_mtime
    if total and step > from_step and took > 0:
        left = (total - step) * took / (step - from_step) - (now - written)
        text += f", about {duration(max(left, 0.0))} left"
    return f"{text} (last step {duration(now - written)} ago)"


def _counts(manifests: list[Path]) -> dict[str, Counter[str]]:
    """Add up what manifests count of rows: read, kept, dropped."""
    found: dict[str, Counter[str]] = {}
    for manifest in manifests:
        content = read_json(manifest) if manifest.name.endswith("manifest.json") else {}
        for kind, counted in content.get("counts", {}).items():
            if isinstance(counted, dict) and {"read", "kept", "dropped"} <= counted.keys():
                sums = found.setdefault(kind, Counter())
                sums.update(read=counted["read"], kept=counted["kept"], dropped=sum(counted["dropped"].values()))
    return found
