"""One row of measurements for each answer: by probability, as generated, and of the baseline."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from winnow.core.manifest import Tally
from winnow.evaluation.label_metrics import LABELS
from winnow.evaluation.labels.prompts import LabelledPrompt
from winnow.evaluation.labels.runs import Answered, Generated
from winnow.graders.verdicts import read_verdict
from winnow.numerics.labels import likeliest

REFERENCE = LABELS.reference  # the run of the baseline

Values = dict[str, float | None]
MeasuredRow = dict[str, Any]


def measure_all(
    answered: Mapping[str, Answered],
    baseline: Mapping[str, Mapping[str, float]],
    prompts: Mapping[str, LabelledPrompt],
    answers: Mapping[str, str],
) -> list[MeasuredRow]:
    """Return the rows of all answers, ordered by id.

    Args:
        answered: by run.
        baseline: prompt → label → probability.
        prompts: those that were asked have a label.
        answers: label → its word.
    """
    rows: list[MeasuredRow] = []
    for run, one in answered.items():
        head = {"run": run, "modality": one.modality}
        rows += [_by_probability(head, prompts[name], name, logps) for name, logps in one.logps.items()]
        rows += [_generated(head, prompts[response.prompt_id], response, answers) for response in one.generated]
    rows += [_reference(prompts[name], name, found) for name, found in baseline.items()]
    return sorted(rows, key=lambda row: row["id"])


def count_rows(rows: Iterable[MeasuredRow], tally: Tally) -> None:
    """Count the rows, and note how many lack something that a reader would expect of them."""
    for row in rows:
        tally.read += 1
        tally.kept += 1
        for what in _lacking(row):
            tally.note(f"{row['decoding']}: {what}")


def _lacking(row: MeasuredRow) -> Iterator[str]:
    values, in_text = row["values"], row["sample"] is not None
    if row["predicted"] is None:
        yield "no verdict read" if in_text else "no verdict, all answers are equally probable"
    if in_text and not values["ended"]:
        yield "cut off"
    if in_text and values["mean_entropy"] is None:
        yield "no entropy"


def _by_probability(
    head: Mapping[str, Any], prompt: LabelledPrompt, name: str, logps: Mapping[str, float]
) -> MeasuredRow:
    """Return the row of a prompt's log-probabilities, which are in nats."""
    label = str(prompt.label)
    right, largest = logps[label], max(logps.values())
    # Divided by the largest first: both probabilities may be too small for a float.
    scaled = {other: math.exp(logp - largest) for other, logp in logps.items()}
    values: Values = {
        "margin": right - max(logp for other, logp in logps.items() if other != label),
        "right_probability": scaled[label] / math.fsum(scaled.values()),
        "word_mass": math.fsum(map(math.exp, logps.values())),
    }
    more = {"id": f"{head['run']}/{name}/logprob", "sample": None, "prompt_id": name, "decoding": "logprob"}
    return _row({**head, **more}, prompt, likeliest(logps), values)


def _generated(
    head: Mapping[str, Any], prompt: LabelledPrompt, response: Generated, answers: Mapping[str, str]
) -> MeasuredRow:
    """Return the row of a response, whose verdict is its first word."""
    predicted = read_verdict(response.text, answers)
    values: Values = {
        "verdict_read": float(predicted is not None),
        "ended": float(response.ended),
        "tokens": float(response.tokens),
        "mean_entropy": response.mean_entropy,
    }
    more = {"id": response.identity, "sample": response.sample, "decoding": response.decoding}
    return _row({**head, **more, "prompt_id": response.prompt_id}, prompt, predicted, values)


def _reference(prompt: LabelledPrompt, name: str, probabilities: Mapping[str, float]) -> MeasuredRow:
    """Return the row of the baseline."""
    values: Values = {"right_probability": probabilities[str(prompt.label)]}
    head = {"run": REFERENCE, "modality": None, "id": f"{REFERENCE}/{name}", "sample": None}
    return _row({**head, "prompt_id": name, "decoding": "reference"}, prompt, likeliest(probabilities), values)


def _row(head: Mapping[str, Any], prompt: LabelledPrompt, predicted: str | None, values: Values) -> MeasuredRow:
    """Return what all rows have: every metric, null where it does not exist. No verdict is a wrong one."""
    found = values | {"decision_correct": float(predicted == prompt.label)}
    numbers = {name: found.get(name) for name in LABELS.row_metrics}
    return {
        **head,
        "decision": prompt.label,
        "predicted": predicted,
        "source": prompt.source,
        "values": {name: None if number is None else round(number, 6) for name, number in numbers.items()},
    }
