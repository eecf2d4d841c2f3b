"""How a study's checklist was chosen, and whether it does better than chance."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from winnow.core.config.studies import ResolvedStudy
from winnow.core.files import read_json
from winnow.reporting.distributions import Drawing
from winnow.reporting.words import number

_BASELINES = {
    "random": "random items, as many",
    "all_candidates": "all candidate items",
    "all_survivors": "all items that passed screening",
    "length": "length alone",
    "l1_logistic": "logistic regression, L1",
}


def result_file(study: ResolvedStudy, given: Path | None) -> tuple[Path, str] | None:
    """Return the file that says how the checklist was chosen and its name on the page; None if it was not chosen.

    That is the result of the study's own search, or a ready-made optimal_checklist.json that the study names.
    """
    if given is not None:
        return given, f"{given.parent.name}/{given.name}"
    checklist = study.signal.checklist
    if study.signal.optimize is None and checklist is not None and checklist.endswith(".json"):
        return Path(checklist), checklist
    return None


def read_result(study: ResolvedStudy, given: Path | None) -> dict[str, Any] | None:
    """Return the content of that file with its name as `source`; None where there is none."""
    found = result_file(study, given)
    if found is None or not found[0].is_file():
        return None
    content: dict[str, Any] = read_json(found[0])
    return content | {"source": found[1]}


def questions(study: ResolvedStudy, given: Path | None) -> dict[str, str]:
    """Return the question of each item by its id, from the checklist that responses were judged by; none without one.

    Args:
        study: names its checklist, by a path below the checkout.
        given: the checklist that its own search chose; None where it made none.
    """
    named = given or study.signal.checklist
    if named is None or not Path(named).is_file():
        return {}
    # JSON is YAML too.
    content = yaml.safe_load(Path(named).read_text(encoding="utf-8"))
    return {str(item["id"]): str(item["text"]) for item in content["questions"]}


def is_told(result: Mapping[str, Any] | None) -> bool:
    """Say whether a result tells how its items were chosen; a checklist may also hold its items alone."""
    return result is not None and {"K", "target", "cv", "permutation", "data", "dropped"} <= result.keys()


def baselines(result: Mapping[str, Any]) -> list[tuple[str, float | None, float | None]]:
    """Return name, AUC and standard error of what the checklist is compared with; of random items, their mean."""
    found = []
    for name, value in (result.get("baselines") or {}).items():
        parts = value if isinstance(value, dict) else {"auc": value}
        auc = parts.get("auc", parts.get("mean"))
        found.append((_BASELINES.get(name, name.replace("_", " ")), auc, parts.get("se")))
    return found


def drawing(result: Mapping[str, Any]) -> Drawing:
    """Return the curve of cross-validated AUC by number of items, with the levels it is compared with."""
    points = [(point["k"], point["auc"], point["se"]) for point in result["cv"]["curve"]]
    # Drawing takes most of a second to import.
    from winnow.reporting.figures import curve_svg  # noqa: PLC0415

    levels = [(name, auc) for name, auc, _ in baselines(result) if auc is not None]
    levels.append(("95 % of permuted labels lie below", result["permutation"]["null95"]))
    title = "AUC on held-out folds, by number of items"
    svg, names = curve_svg(title, points, result["K"], levels)
    note = f"K = {result['K']}: the fewest items within one standard error of the best; band: one standard error"
    legend = (("checklist", "first"), *((f"{label}: {name} {number(level)}", "none") for label, name, level in names))
    return Drawing(title, svg, note, str(result["source"]), legend)
