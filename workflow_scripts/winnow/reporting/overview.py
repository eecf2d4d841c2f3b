"""How far studies are, as text for a terminal."""

from collections import Counter
from collections.abc import Sequence

from winnow.reporting.following import Followed, Job, State

WIDTH = 100
_TOLD_AT_MOST = 8  # jobs of one step whose state is told; more are counted
_URGENT = (State.FAILED, State.CUT_OFF, State.SILENT, State.RUNNING)


def overview(study: str, followed: Sequence[Followed]) -> list[str]:
    """Return the lines on one study: a line per step, below it what its unfinished jobs say, last what remains."""
    jobs = [job for step in followed for job in step.jobs]
    left = [job for job in jobs if job.state is not State.DONE]
    title = f"{study}: {len(jobs) - len(left)} of {len(jobs)} jobs done"
    if not left:
        return [title, *_steps(followed)]
    states = Counter(job.state for job in left)
    parts = [f"{states[state]} {state.value}" for state in (*_URGENT, State.TO_DO) if states[state]]
    lines = [", ".join([title, *parts]), *_steps(followed)]
    if broken := [job for job in left if job.state in {State.FAILED, State.CUT_OFF}]:
        last = max(broken, key=lambda job: job.touched)
        lines.append(_short(f"  failed last: {last.log}"))
    return lines


def _steps(followed: Sequence[Followed]) -> list[str]:
    lines = []
    for step in followed:
        done = sum(job.state is State.DONE for job in step.jobs)
        state = next((state for state in _URGENT if any(job.state is state for job in step.jobs)), None)
        if state is None:
            state = State.DONE if done == len(step.jobs) else State.TO_DO
        counted = f"{done:3d} of {len(step.jobs):<3d}"
        lines.append(_short(f"  {state.value:8s} {step.step.title:26s} {counted}  {_counts(step)}".rstrip()))
        unfinished = [job for state in _URGENT for job in step.jobs if job.state is state]
        lines += [_short(f"           {_named(job)}{job.told}") for job in unfinished[:_TOLD_AT_MOST]]
        if len(unfinished) > _TOLD_AT_MOST:
            lines.append(f"           and {len(unfinished) - _TOLD_AT_MOST} more")
    return lines


def _named(job: Job) -> str:
    """Return the name of a job and its state, as far as its step has several jobs."""
    values = dict(job.names)
    shard = f"{values.pop('shard')}-of-{values.pop('shards')}" if "shard" in values else ""
    name = " ".join([*values.values(), *([shard] if shard else [])])
    return f"{name} {job.state.value}: " if name else f"{job.state.value}: "


def _counts(step: Followed) -> str:
    parts = []
    for kind, counted in step.counts.items():
        dropped = f", {counted['dropped']:,} dropped" if counted["dropped"] else ""
        parts.append(f"{counted['kept']:,} {kind}{dropped}")
    return "; ".join(parts)


def _short(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 4]} ..."
