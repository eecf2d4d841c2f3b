"""What SLURM's accounting knows of this checkout's jobs: one attempt per record of `sacct`, named by rule.

A job is known by its own command, which says `--target-jobs 'train_sft:study=demo,run=sft_clean'`. Its comment is not
used: slurmdbd keeps comments only where a site asks for it, and only of jobs that ended; and they join wildcards, so
that names with underscores cannot be told apart. A job that names no rule is counted, and belongs to none.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

_FIELDS = (
    *("JobIDRaw", "State", "Submit", "Start", "ElapsedRaw", "AllocCPUS", "NNodes", "TotalCPU", "MaxRSS", "AllocTRES"),
    *("WorkDir", "SubmitLine"),  # the last may hold anything, line breaks too
)
_SEPARATOR = "\x1f"
_PATIENCE_S = 120  # sacct never answers where slurmdbd is configured and away
_ALL_THE_WAY = timedelta(days=365)  # asked for where nothing says when the first call of Snakemake was
_UNITS_MIB = {"": 2**-20, "K": 2**-10, "M": 1.0, "G": 2.0**10, "T": 2.0**20}
_TARGETS = re.compile(r"--target-jobs((?: +(?:'[^']*'|\"[^\"]*\"|[^\s'\"-][^\s'\"]*))+)")
_UNFINISHED = {"RUNNING", "PENDING", "SUSPENDED", "CONFIGURING", "COMPLETING", "RESIZING", "STAGE_OUT", "SIGNALING"}
_UNKNOWN = {"Unknown", "None", "", "N/A"}

Job = tuple[str, tuple[tuple[str, str], ...]]  # rule, wildcards in the order of their names


@dataclass(frozen=True)
class Attempt:
    """One start, or one refusal to start, of a job. None is what the accounting does not say.

    Attributes:
        jobs: what it was to make; several where Snakemake submitted a group, none where the job names no rule.
        state: SLURM's word, without `by <uid>`.
        wait_s: from being submitted, or put back into the queue, to the start; None if it never started.
        elapsed_s: from its start to its end, or until now.
        cpus: allocated.
        cpu_used_s: CPU time of its steps; None where none was gathered.
        gpus: allocated.
        peak_mib: of the largest task of any step; None where none was gathered.
        asked_mib: memory allocated per node.
    """

    jobs: tuple[Job, ...]
    state: str
    wait_s: float | None
    elapsed_s: float
    cpus: int | None
    cpu_used_s: float | None
    gpus: int | None
    peak_mib: float | None
    asked_mib: float | None

    @property
    def is_over(self) -> bool:
        """Whether it ended, well or not."""
        return self.state not in _UNFINISHED

    @property
    def failed(self) -> bool:
        """Whether it ended without finishing its work."""
        return self.is_over and self.state != "COMPLETED"


@dataclass(frozen=True)
class Accounting:
    """What was asked of sacct, and what it said.

    Attributes:
        source: in a reader's words: what answered, from when on, or why nothing did.
        answered: whether it did.
        attempts: of this checkout, in sacct's order.
    """

    source: str
    answered: bool
    attempts: list[Attempt] = field(default_factory=list)


def _number(text: str) -> float | None:
    return None if text in _UNKNOWN else float(text)


def mib(text: str) -> float | None:
    """Return a size as sacct writes it ("477978624" bytes, "466776K", "1.50G", "500Mn" per node) in MiB."""
    found = re.fullmatch(r"([\d.]+)([KMGT]?)[nc]?", text)
    return float(found[1]) * _UNITS_MIB[found[2]] if found else None


def seconds(text: str) -> float | None:
    """Return a CPU time ("[[days-]hours:]minutes:seconds.milliseconds") in seconds."""
    found = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):)?(\d+):([\d.]+)", text)
    if not found:
        return None
    days, hours, minutes = (int(part or 0) for part in found.groups()[:3])
    return 86_400 * days + 3_600 * hours + 60 * minutes + float(found[4])


def _resources(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)


def _gpus(allocated: Mapping[str, str], submitted: str, nodes: int) -> int | None:
    """Return how many GPUs a job had: as accounted or, where a site counts none, as many as it asked for."""
    if "gres/gpu" in allocated:
        return int(allocated["gres/gpu"])
    if typed := [int(count) for name, count in allocated.items() if name.startswith("gres/gpu:")]:
        return sum(typed)
    options = submitted.split("--wrap", 1)[0]
    if found := re.search(r"--gpus[= ](?:[\w.-]+:)?(\d+)", options):
        return int(found[1])
    if found := re.search(r"--gres[= ](?:\S*,)?gpu(?::[A-Za-z][\w.-]*)?(?::(\d+))?(?=[\s,]|$)", options):
        return int(found[1] or 1) * nodes
    return None if re.search(r"--gpus|--gres", options) else 0


def jobs_of(command: str) -> tuple[Job, ...]:
    """Return the jobs that a submitted command makes; none where it is no command of Snakemake."""
    found = _TARGETS.search(command)
    jobs = []
    for target in re.findall(r"'([^']*)'|\"([^\"]*)\"|(\S+)", found[1]) if found else ():
        rule, _, wildcards = "".join(target).partition(":")
        pairs = (part.partition("=") for part in wildcards.split(",") if part)
        jobs.append((rule, tuple(sorted((name, value) for name, _, value in pairs))))
    return tuple(jobs)


def _records(text: str) -> Iterable[dict[str, str]]:
    """Yield the lines of sacct as field → value; a line break in a command continues its line."""
    rows: list[list[str]] = []
    for line in text.splitlines():
        parts = line.split(_SEPARATOR)
        if len(parts) == len(_FIELDS):
            rows.append(parts)
        elif rows:
            rows[-1][-1] += f" {line}"
    return (dict(zip(_FIELDS, row, strict=True)) for row in rows)


def _attempt(record: Mapping[str, str]) -> Attempt:
    allocated, nodes = _resources(record["AllocTRES"]), int(_number(record["NNodes"]) or 1)
    submitted, started = _number(record["Submit"]), _number(record["Start"])
    memory = mib(allocated.get("mem", ""))
    return Attempt(
        jobs=jobs_of(record["SubmitLine"]),
        state=record["State"].split(" ", 1)[0],
        wait_s=None if submitted is None or started is None else max(0.0, started - submitted),
        elapsed_s=_number(record["ElapsedRaw"]) or 0.0,
        cpus=int(_number(record["AllocCPUS"]) or 0),
        cpu_used_s=seconds(record["TotalCPU"]) or None,  # exactly none: nothing was gathered
        gpus=_gpus(allocated, record["SubmitLine"], nodes),
        peak_mib=None,
        asked_mib=None if memory is None else memory / nodes,
    )


def parse(text: str, checkout: Path) -> list[Attempt]:
    """Return the attempts of a checkout's jobs.

    Args:
        text: what `sacct` wrote when asked by `ask`; an attempt's steps follow its own line.
        checkout: folder from which Snakemake was called.
    """
    here = checkout.resolve()
    attempts: list[Attempt] = []
    last: dict[str, int] = {}  # where the attempt stands that a job's steps belong to
    for record in _records(text):
        job, _, step = record["JobIDRaw"].partition(".")
        if not step:
            last.pop(job, None)
            if record["WorkDir"] and Path(record["WorkDir"]).resolve() == here:
                last[job] = len(attempts)
                attempts.append(_attempt(record))
        elif job in last:
            known = attempts[last[job]]
            peaks = [peak for peak in (known.peak_mib, mib(record["MaxRSS"])) if peak is not None]
            # A command that came to sbatch as a file is seen in the step that it started.
            jobs = known.jobs or jobs_of(record["SubmitLine"])
            attempts[last[job]] = replace(known, jobs=jobs, peak_mib=max(peaks, default=None))
    return attempts


def first_call(logs: Path) -> datetime | None:
    """Return when Snakemake was first called here, by the name of its oldest log; None where there is none."""
    names = sorted(file.name[:17] for file in logs.glob("????-??-??T??????.*.snakemake.log"))
    return datetime.strptime(names[0], "%Y-%m-%dT%H%M%S") if names else None  # noqa: DTZ007 - sacct counts in local time


def command(since: datetime) -> list[str]:
    """Return the question to sacct: every record of this user's jobs and steps from a local time on."""
    options = ["--duplicates", "--parsable2", "--noconvert", "--noheader", f"--delimiter={_SEPARATOR}"]
    return [
        "sacct",
        *options,
        f"--uid={os.getuid()}",
        f"--starttime={since:%Y-%m-%dT%H:%M:%S}",
        f"--format={','.join(_FIELDS)}",
    ]


def ask(checkout: Path, logs: Path) -> Accounting:
    """Ask sacct for the jobs of a checkout. No answer is no error: a laptop has none to give.

    Args:
        checkout: folder from which Snakemake was called.
        logs: folder of Snakemake's own logs, which say from when on to ask.
    """
    since = first_call(logs) or datetime.now() - _ALL_THE_WAY  # noqa: DTZ005 - as above
    if shutil.which("sacct") is None:
        return Accounting("there is no sacct on this machine", answered=False)
    environment = os.environ | {"SLURM_TIME_FORMAT": "%s"}  # seconds since 1970, whatever the time zone
    try:
        done = subprocess.run(command(since), env=environment, capture_output=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return Accounting(f"sacct did not answer within {_PATIENCE_S} s", answered=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"]
        return Accounting(f"sacct refused: {said[-1].removeprefix('sacct: ')}", answered=False)
    attempts = parse(done.stdout.decode(errors="replace"), checkout)
    return Accounting(f"sacct, this user's jobs since {since:%Y-%m-%d}", answered=True, attempts=attempts)
