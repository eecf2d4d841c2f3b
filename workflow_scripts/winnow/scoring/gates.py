"""The gates: what a judge must reach before anything is selected by it.

A threshold of null gates nothing: the value is shown, and `passed` is null. Where a threshold stands and the value
cannot be had, the gate fails, with two exceptions. Retest and order, which have a threshold by default, are "not
measured" where the study leaves the test out. And an item that got one and the same answer everywhere and both times
has no kappa, but nothing has changed in it: if there are no other items, the gate of the retest passes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from winnow.core.config.signals import Gates
from winnow.core.errors import WinnowError

Bound = Literal["at_most", "at_least"]
_NOT_TESTED = "not measured: signal.reliability leaves this test out"
_FIXES = {
    "null_rate": "see which items and lengths go unanswered there; mend the judge or checklist, or raise max_null_rate",
    "item_null_rate": "reword or remove the item that goes unanswered, or raise max_item_null_rate",
    "quartile_null_rate": "give the judge more room for long texts, or look at short ones; or raise"
    " max_quartile_null_rate",
    "retest_kappa": "reword the items with a low kappa, use item mode or another judge, or lower min_retest_kappa",
    "order_flip_rate": "use item mode or another judge, reword items that lean on their neighbours, or raise"
    " max_order_flip_rate",
    "injection_flip_rate": "use another judge or look at the injections that got through, or raise"
    " max_injection_flip_rate",
    "length_correlation": "reword items that any long text meets, or raise max_length_correlation",
    "second_kappa": "look at the items on which the judges differ, or lower min_second_kappa; it needs second_judge",
    "people_kappa": "use a better judge, reword items, or lower min_people_kappa; it needs annotations",
}


def gate(
    name: str, value: float | None, threshold: float | None, *, bound: Bound = "at_most", note: str | None = None
) -> dict[str, Any]:
    """Return a gate's entry: passed where the value is known and on the right side of the threshold, or on it."""
    reached = (
        value is not None and threshold is not None and (value <= threshold, value >= threshold)[bound == "at_least"]
    )
    return {
        "name": name,
        "value": value,
        "threshold": threshold,
        "bound": bound,
        "passed": None if threshold is None else reached,
        "note": note,
    }


def gates_of(report: Mapping[str, Any], settings: Gates) -> list[dict[str, Any]]:
    """Return all gates, from the other parts of the judge's report."""
    nulls = report["null_rate"]
    worst_item = _worst(report["items"], "item")
    worst_quartile = _worst(nulls["by_length_quartile"], "quartile")
    spearman = report["correlations"]["count_and_log_tokens"]["spearman"]
    people = report["human_agreement"]
    return [
        gate("null_rate", nulls["overall"], settings.max_null_rate),
        gate("item_null_rate", worst_item[0], settings.max_item_null_rate, note=worst_item[1]),
        gate("quartile_null_rate", worst_quartile[0], settings.max_quartile_null_rate, note=worst_quartile[1]),
        _retest(report["retest"], settings.min_retest_kappa),
        _flips("order_flip_rate", report["reordered"], settings.max_order_flip_rate),
        _flips("injection_flip_rate", report["injected"], settings.max_injection_flip_rate),
        gate(
            "length_correlation",
            None if spearman is None else abs(spearman),
            settings.max_length_correlation,
            note="counts do not vary, or are too few" if spearman is None else None,
        ),
        _agreement(
            "second_kappa", report["second"], settings.min_second_kappa, "without signal.reliability.second_judge"
        ),
        _agreement("people_kappa", people, settings.min_people_kappa, "without signal.annotations"),
    ]


def _worst(entries: Iterable[Mapping[str, Any]], what: str) -> tuple[float | None, str | None]:
    """Return the highest null rate of all entries and whose it is, the first of several; nobody's if it is 0."""
    known = [entry for entry in entries if entry["null_rate"] is not None]
    if not known:
        return None, None
    worst = max(known, key=lambda entry: entry["null_rate"])
    return worst["null_rate"], f"{what} {worst[what]}" if worst["null_rate"] else None


def _kappa_note(items: Sequence[Mapping[str, Any]]) -> str:
    known = sum(entry["kappa"] is not None for entry in items)
    return (
        f"over {known} of {len(items)} items; the others have no kappa" if known < len(items) else f"over {known} items"
    )


def _retest(block: Mapping[str, Any] | None, threshold: float | None) -> dict[str, Any]:
    name = "retest_kappa"
    if block is None:
        return _not_tested(name, threshold, "at_least")
    entry = gate(name, block["mean_kappa"], threshold, bound="at_least", note=_kappa_note(block["items"]))
    if block["mean_kappa"] is not None:
        return entry
    if not block["flips"]["n"]:
        return entry | {"note": "nothing was answered both times"}
    # No item has a kappa: each got one and the same answer, everywhere and both times, so nothing flipped.
    note = "no item has a kappa, since each always got one answer; none of them changed"
    return entry | {"note": note, "passed": None if threshold is None else True}


def _flips(name: str, block: Mapping[str, Any] | None, threshold: float | None) -> dict[str, Any]:
    if block is None and name == "order_flip_rate":
        return _not_tested(name, threshold, "at_most")
    if block is None:
        return gate(name, None, threshold, note=_NOT_TESTED)
    note = None if block["flips"]["n"] else "nothing was answered both times"
    return gate(name, block["flips"]["rate"], threshold, note=note)


def _agreement(name: str, block: Mapping[str, Any] | None, threshold: float | None, why_not: str) -> dict[str, Any]:
    if block is None:
        return gate(name, None, threshold, bound="at_least", note=f"not measured {why_not}")
    return gate(name, block["mean_kappa"], threshold, bound="at_least", note=_kappa_note(block["items"]))


def _not_tested(name: str, threshold: float | None, bound: Bound) -> dict[str, Any]:
    """Return a gate that has a threshold by default and whose test the study leaves out: it stops nothing."""
    return gate(name, None, threshold, bound=bound, note=_NOT_TESTED) | {"passed": None}


def failure(place: object, failed: Sequence[Mapping[str, Any]]) -> WinnowError:
    """Return the error that names all failed gates, each with what can be done."""
    problem = "\n  ".join(f"gate {one['name']}: {_how(one)}" for one in failed)
    return WinnowError(place, problem, "\n       ".join(f"{one['name']}: {_FIXES[one['name']]}" for one in failed))


def _how(one: Mapping[str, Any]) -> str:
    note = f" ({one['note']})" if one["note"] else ""
    if one["value"] is None:
        return f"has no value{note}, and the threshold is {one['threshold']}"
    return f"{one['value']} is {'above' if one['bound'] == 'at_most' else 'below'} {one['threshold']}{note}"
