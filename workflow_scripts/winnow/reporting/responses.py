"""What comparison.json says of responses, as tables of a page: values, differences, verdicts, groups."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from winnow.reporting.baseline import against_reference
from winnow.reporting.comparing import in_order, mark, scale
from winnow.reporting.task import DECODINGS, inside, task_of
from winnow.reporting.words import number, share

# Digits behind the point, where three would say more than is known.
_DIGITS = {"words": 1, "tokens": 1, "points": 2, "points²": 2, "per 100 words": 2}
_OF_DECISIONS = ("accuracy", "macro_f1", "mcc", "balanced_accuracy", "predicted_positive_rate")
_OF_TEXTS = ("tokens", "mean_entropy")
_OF_CLASSES = ("precision", "recall", "f1")
_CANDIDATE = ("run", "swept", "seeds", "validation", "validation_rows", "cost", "alarms")

Entry = Mapping[str, Any]


def metrics(comparison: Entry | None) -> dict[str, dict[str, Any]]:
    """Return the words and the form of every metric: what the catalogue says, `percent`, `digits` and `direction`.

    Those of the family stand first, in its order; keys of a JSON file have none.
    """
    whole = comparison or {}
    family = (whole.get("family") or {}).get("metrics") or []
    known = whole.get("metrics") or {}
    ordered = [*(name for name in family if name in known), *(name for name in known if name not in family)]
    directions = {"higher": "higher is better", "lower": "lower is better", None: ""}
    return {
        name: {
            **known[name],
            "name": name,
            "percent": "share" in {known[name]["unit"], known[name]["kind"]},
            "digits": _DIGITS.get(known[name]["unit"], 3),
            "direction": directions[known[name]["better"]],
        }
        for name in ordered
    }


def tables(comparison: Entry | None) -> dict[str, list[dict[str, Any]]]:
    """Return modality → one part of the page for each decoding; they are never mixed in a table."""
    known, whole = metrics(comparison), comparison or {}
    task = task_of(comparison)

    def part(name: str, modality: str, decoding: str) -> Any:
        return ((whole.get(name) or {}).get(modality) or {}).get(decoding)

    return {
        modality: [
            {
                "modality": modality,
                "decoding": decoding,
                "title": inside(task["decodings"][decoding]),
                "rows": in_order(table["rows"]),
                "reference": table["reference"],
                "against": against_reference(table, task),
                "family": whole["family"],
                "groups": [_group(metric, table) for metric in known.values() if metric["primary"]],
                "metrics": [metric for name, metric in known.items() if _is_known(name, table)],
                "written": [] if decoding == "logprob" else _OF_TEXTS,
                "decisions": _decisions(part("decisions", modality, decoding), _names(table), known),
                "breakdown": _breakdown(part("breakdown", modality, decoding), _names(table), known, task),
                "arms": _arms(part("arms", modality, decoding), known),
            }
            for decoding in DECODINGS
            if (table := by_decoding.get(decoding))
        ]
        for modality, by_decoding in (whole.get("responses") or {}).items()
    }


def _names(table: Entry) -> list[str]:
    return [row["run"] for row in in_order(table["rows"])]


def _is_known(name: str, table: Entry) -> bool:
    """Say whether anybody has a value; that the reference alone has one is worth knowing too."""
    everybody = [table["reference"], *(row["values"] for row in table["rows"])]
    return any((values.get(name) or {}).get("value") is not None for values in everybody)


def _marks(entries: Iterable[Entry | None], *, around_zero: bool = False) -> list[dict[str, float] | None]:
    """Return where values and intervals stand on one scale; around zero, with the place of zero."""
    listed = list(entries)
    points = [((entry or {}).get("value"), (entry or {}).get("interval")) for entry in listed]
    limits = scale([*points, (0.0, None)] if around_zero else points)
    found = [mark(*point, limits) for point in points]
    zero = mark(0.0, None, limits) if around_zero else None
    return [place and place | ({"zero": zero["at"]} if zero else {}) for place in found]


def _group(metric: dict[str, Any], table: Entry) -> dict[str, Any]:
    """Return all that is said of one metric: a line for each model, and one for the reference."""
    name, rows = metric["name"], in_order(table["rows"])
    values = [row["values"][name] for row in rows]
    reference = table["reference"].get(name)
    differences = {key: [(row[key] or {}).get(name) for row in rows] for key in ("to_base", "to_parent")}
    *places, of_reference = _marks([*values, reference])
    apart = _marks(differences["to_base"], around_zero=True)
    lines = [
        {
            "run": row["run"],
            "stage": row["stage"],
            "parent": row["parent"],
            "value": value,
            "mark": place,
            "to_base": to_base,
            "apart": away,
            # A parent that is the base model is one test, shown once.
            "to_parent": None if str(row["parent"]).startswith("base_") else to_parent,
        }
        for row, value, place, to_base, away, to_parent in zip(
            rows, values, places, differences["to_base"], apart, differences["to_parent"], strict=True
        )
    ]
    return {"metric": metric, "lines": lines, "reference": reference, "reference_mark": of_reference}


def _decisions(found: Entry | None, runs: Sequence[str], known: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
    """Return the lines of the runs, then those of what needs no model: `who` is a run's name or a baseline's key."""
    if not found:
        return None
    others = [(name, "", entry) for name, entry in found["baselines"].items() if entry]
    models = [(run, run, found["rows"][run]) for run in runs if run in found["rows"]]
    lines = [{"who": who, "run": run, **entry} for who, run, entry in (*models, *others)]
    return {
        "thresholds": _thresholds(found.get("threshold") or {}),
        "n": found["n"],
        "metrics": [known[name] for name in _OF_DECISIONS if name in known],
        "lines": lines,
        "of_classes": _OF_CLASSES if any("per_class" in line for line in lines) else (),
    }


def _thresholds(found: Entry) -> list[str]:
    """Return in words from which rating on a response accepts, for each scale of ratings."""
    told = []
    for ratings, one in (found.get("fitted") or {}).items():
        legal = ratings.split(",")
        told.append(
            f"{number(one['t'], 2)} on the scale from {legal[0]} to {legal[-1]}, which tells accepted from rejected "
            f"papers best on {one['papers']} validation papers (balanced accuracy {share(one['balanced_accuracy'])})"
        )
    return told


def _breakdown(
    found: Entry | None, runs: Sequence[str], known: Mapping[str, dict[str, Any]], task: Entry
) -> list[dict[str, Any]]:
    """Return one table for each way of grouping prompts: lines of metric and run, a column for each group."""
    made = []
    for by, groups in (found or {}).items():
        lines = [
            {
                "metric": metric,
                "run": run,
                "entries": [(of_group.get(run) or {}).get(name) for of_group in groups.values()],
            }
            for name, metric in known.items()
            if metric["primary"]
            for run in (*runs, task["reference"])
        ]
        if len(groups) > 1:
            made.append({"by": inside(task["groups"][by]), "groups": list(groups), "lines": lines})
    return made


def _arms(found: Sequence[Entry] | None, known: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            **arm,
            "lines": [
                {"metric": metric, "value": arm["values"][name], "to_base": (arm.get("to_base") or {}).get(name)}
                for name, metric in known.items()
                if (arm["values"].get(name) or {}).get("mean") is not None
            ],
        }
        for arm in found or ()
    ]


def sweeps(comparison: Entry | None) -> list[dict[str, Any]]:
    """Return the decision record of each sweep, its candidates as one table of whatever was noted of them."""
    made = []
    for record in (comparison or {}).get("sweeps") or ():
        rows = [_flat(candidate) for candidate in record["candidates"]]
        columns = sorted(dict.fromkeys(key for row in rows for key in row), key=_place)
        lines = [[row.get(column) for column in columns] for row in rows]
        made.append({**record, "table": {"title": f"Arms of {record['entry']}", "columns": columns, "rows": lines}})
    return made


def _place(column: str) -> int:
    """Return where a column stands: what an arm is, what it reached, what it cost; what is not known comes last."""
    group = column.split(":", maxsplit=1)[0]
    return _CANDIDATE.index(group) if group in _CANDIDATE else len(_CANDIDATE)


def _flat(candidate: Entry) -> dict[str, Any]:
    """Return a candidate's notes one level deep; what is missing in a group is missing by its own name."""
    flat: dict[str, Any] = {}
    for key, value in candidate.items():
        if key == "runs":  # the arm's seeds say as much
            continue
        if isinstance(value, dict):
            flat |= {f"{key}: {inner}": number for inner, number in value.items()}
        else:
            flat[key] = value
    return flat


def verdict_counts(row: Entry, key: str, primary: Iterable[str]) -> dict[str, int]:
    """Return how many primary metrics got better, got worse, and got a verdict at all, against base or parent."""
    verdicts = [((row[key] or {}).get(name) or {}).get("verdict") for name in primary]
    return {
        "better": verdicts.count("better"),
        "worse": verdicts.count("worse"),
        "all": sum(verdict is not None for verdict in verdicts),
    }
