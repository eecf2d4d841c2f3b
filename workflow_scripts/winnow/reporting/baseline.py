"""Whether a model beats the one that needs no training of ours, in a sentence for each run."""

from collections.abc import Mapping
from typing import Any

from winnow.reporting.comparing import in_order
from winnow.reporting.task import inside
from winnow.reporting.words import interval, number, probability

MEASURE = "decision_correct"
KEPT = "\u00a0"  # a space at which no line ends
_TESTS = {"mcnemar": "McNemar p"}

Entry = Mapping[str, Any]


def sentence(run: str, entry: Entry, reference: str) -> str:
    """Return one run's difference to the reference, in points of accuracy, and what it shows.

    Args:
        run: its name.
        entry: of `to_reference`: n, value, interval, p, test, verdict, mde.
        reference: what it is compared with.
    """
    if entry["value"] is None:
        return f"{run} could not be compared with {reference}."
    away = f"{number(100 * abs(entry['value']), 1)} points of accuracy {'above' if entry['value'] > 0 else 'below'}"
    told = f"{run} is {away} {reference}" if entry["value"] else f"{run} is right as often as {reference}"
    if entry["interval"] is not None:
        told += f", 95{KEPT}% interval {interval(entry['interval'], 1, 100).replace(' ', KEPT)}"
    if entry["p"] is not None:
        told += f", {_TESTS.get(entry['test'], 'p')} {probability(entry['p'])}"
    said = {"better": ": it beats it", "worse": ": it does not beat it"}.get(entry["verdict"])
    if said is None:
        said = ": no difference is shown"
        if entry.get("mde") is not None:
            said += f" (one of {number(100 * entry['mde'], 1)} points would be, four times out of five)"
    return f"{told}{said}."


def against_reference(table: Entry, task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return run, stage, verdict and sentence of every run of a table; none where there is no reference to beat."""
    found = []
    for row in in_order(table["rows"]):
        entry = (row.get("to_reference") or {}).get(MEASURE)
        if entry is not None:
            text = sentence(row["run"], entry, inside(task["reference_title"]))
            found.append({"run": row["run"], "stage": row["stage"], "verdict": entry["verdict"], "text": text, **entry})
    return found
