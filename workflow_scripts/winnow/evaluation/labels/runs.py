"""What was measured of each run, as evaluate_run and generate_responses wrote it."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winnow.core.errors import WinnowError

AGAIN = "evaluate the run again: snakemake with --forcerun on its rows.jsonl"


@dataclass(frozen=True)
class Generated:
    """One generated response.

    Attributes:
        mean_entropy: in nats per token; None where it was not measured.
    """

    identity: str
    prompt_id: str
    sample: int
    decoding: str
    text: str
    tokens: int
    ended: bool
    mean_entropy: float | None


@dataclass(frozen=True)
class Answered:
    """What one run answered.

    Attributes:
        logps: prompt → label → log-probability, in nats, that a response begins with its word.
        generated: its responses.
        rows: the file that holds the former.
    """

    modality: str
    logps: Mapping[str, Mapping[str, float]]
    generated: tuple[Generated, ...]
    rows: Path


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def read_answered(run: str, modality: str, rows: Path, generations: Path, labels: Collection[str]) -> Answered:
    """Read what one run answered.

    Args:
        run: its name.
        modality: how it was shown its prompts.
        rows: rows.jsonl; lines of the kinds "label" and "sample" count.
        generations: generations.jsonl.
        labels: for which every prompt has a log-probability.

    Raises:
        WinnowError: if no prompt has log-probabilities, one has those of other labels, or has them twice; if a response
            is another run's, comes twice, or answers a prompt that has none.
    """
    logps: dict[str, Mapping[str, float]] = {}
    entropies: dict[str, float] = {}
    for row in _lines(rows):
        if row["kind"] == "sample":
            entropies[row["id"]] = row["mean_entropy"]
        elif row["kind"] == "label":
            if row["logps"].keys() != set(labels):
                problem = f"the prompt {row['id']} has probabilities of {', '.join(sorted(row['logps']))}"
                raise WinnowError(rows, f"{problem}, the answers are for {', '.join(sorted(labels))}", AGAIN)
            if row["id"] in logps:
                raise WinnowError(rows, f"has the prompt {row['id']} twice", AGAIN)
            logps[row["id"]] = row["logps"]
    if not logps:
        raise WinnowError(rows, "holds no probability of an answer: no line is of the kind label", AGAIN)
    generated = tuple(_generated(row, run, generations, entropies) for row in _lines(generations))
    if unknown := sorted({one.prompt_id for one in generated} - logps.keys()):
        problem = f"answers {unknown[0]}, which is no held-out prompt of {rows}"
        raise WinnowError(generations, problem, "generate the responses again, then evaluate the run")
    if len({one.identity for one in generated}) < len(generated):
        raise WinnowError(generations, "has a response twice", "generate the responses again, then evaluate the run")
    return Answered(modality, logps, generated, rows)


def _generated(row: Mapping[str, Any], run: str, place: Path, entropies: Mapping[str, float]) -> Generated:
    if row["run"] != run:
        raise WinnowError(place, f"holds a response of {row['run']}, not of {run}", "give each run its own file")
    return Generated(
        identity=row["id"],
        prompt_id=row["prompt_id"],
        sample=row["sample"],
        decoding=row["decoding"],
        text=row["text"] or "",
        tokens=row["tokens"],
        ended=row["stop_reason"] == "stop",
        mean_entropy=entropies.get(row["id"]),
    )


def check_alike(answered: Mapping[str, Answered]) -> None:
    """Check that all runs of a modality answered the same prompts, by probability and in text as many times each.

    Raises:
        WinnowError: naming two runs that did not, and the first prompt that only one of them answered.
    """
    first: dict[str, str] = {}
    for run, one in sorted(answered.items()):
        other = first.setdefault(one.modality, run)
        if differing := sorted(_asked(one) ^ _asked(answered[other])):
            problem = f"{run} and {other} answered different prompts: {differing[0][0]} is one that differs"
            raise WinnowError(one.rows, problem, AGAIN)


def _asked(answered: Answered) -> set[tuple[str, int]]:
    """Return each prompt that was answered with the number of the sample, -1 being its probabilities."""
    in_text = {(one.prompt_id, one.sample) for one in answered.generated}
    return {(name, -1) for name in answered.logps} | in_text
