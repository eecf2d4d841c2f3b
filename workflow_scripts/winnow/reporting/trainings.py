"""What each training did: its place in the plan, its curves, its alarms."""

from typing import Any

from markupsafe import Markup

from winnow.core.config.base import SCHEDULING
from winnow.core.config.runs import ResolvedRun
from winnow.core.config.studies import ResolvedStudy
from winnow.reporting.sources import Results


def changed_keys(planned: Any, saved: Any, place: str = "") -> list[str]:
    """Return the keys in which two JSON values differ, as "recipe.beta: planned 0.1, trained with 0.05"."""
    if isinstance(planned, dict) and isinstance(saved, dict):
        found = []
        for key in sorted(planned.keys() | saved.keys()):
            found += changed_keys(planned.get(key), saved.get(key), f"{place}.{key}" if place else key)
        return found
    return [] if planned == saved else [f"{place}: planned {planned!r}, trained with {saved!r}"]


def differs_from_plan(results: Results, run: ResolvedRun) -> list[str]:
    """Return where the settings that a run was trained with differ from the study as it is now."""
    saved = results.json(f"runs/{run.name}/spec.json")
    if not isinstance(saved, dict):
        return []
    planned = run.model_dump(mode="json", exclude=set(SCHEDULING))
    return changed_keys(planned, {key: value for key, value in saved.items() if key not in SCHEDULING})


def alarms(results: Results, study: ResolvedStudy) -> list[dict[str, Any]]:
    """Return every alarm of every run, with the run's name."""
    found = []
    for name in study.runs:
        manifest = results.json(f"runs/{name}/manifest.json") or {}
        found += [{"run": name, **alarm} for alarm in manifest.get("alarms") or ()]
    return found


def training(results: Results, run: ResolvedRun) -> dict[str, Any]:
    """Return one run for the page: facts of its manifest and a drawing for each panel."""
    # Drawing takes most of a second to import, and only this function draws curves.
    from winnow.reporting.figures import legend, panel_svg  # noqa: PLC0415
    from winnow.reporting.panels import absent, panels_of, read_series  # noqa: PLC0415

    source = f"runs/{run.name}/metrics.jsonl"
    path = results.path(source)
    panels = panels_of(run, path)
    logged = read_series(path, panels) if path else {}
    drawings: list[tuple[str, Markup, list[tuple[str, str]]]] = [
        (panel.title, panel_svg(panel, logged, f"{run.name}/{panel.title}"), legend(panel, logged))
        for panel in panels
        if any(series in logged for series in panel.series)
    ]
    manifest = results.json(f"runs/{run.name}/manifest.json") or {}
    keys = ("steps", "first_loss", "world_size", "parameters", "trainable_parameters")
    return {
        "name": run.name,
        "stage": run.stage,
        "parent": run.parent or f"base model {run.model}",
        "dataset": run.dataset,
        "modality": run.modality,
        "seed": run.seed,
        "facts": {key: manifest.get(key) for key in keys},
        "alarms": manifest.get("alarms") or [],
        "changed": differs_from_plan(results, run),
        "drawings": drawings,
        "absent": absent(panels, logged),
        "source": source,
        "manifest": f"runs/{run.name}/manifest.json",
    }
