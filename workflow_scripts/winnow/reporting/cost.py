"""What the study cost, as the page shows it, from usage.json."""

from collections.abc import Mapping
from typing import Any

from winnow.core.config.studies import ResolvedStudy
from winnow.reporting.provenance import all_manifests
from winnow.reporting.sources import Results

USAGE = "usage.json"


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with the number of its failed attempts, which is unknown where attempts are."""
    return {**row, "failures": None if row["failed"] is None else sum(row["failed"].values())}


def notes(usage: Mapping[str, Any]) -> list[str]:
    """Return where the numbers are from, and what is not in them, as sentences."""
    accounting, total = usage["accounting"], usage["total"]
    jobs, accounted = total["jobs"], total["accounted_jobs"]
    found = []
    if not accounting["answered"]:
        found.append(f"Nothing from SLURM's accounting: {accounting['source']}.")
    else:
        found.append(f"From SLURM's accounting ({accounting['source']}): {accounted} of {jobs} jobs, all attempts.")
    if jobs > accounted:
        found.append(
            f"From Snakemake's benchmarks: {jobs - accounted} of {jobs} jobs, the last attempt of each, with the GPUs"
            " that it asked for; earlier attempts and waiting are unknown."
        )
    if total["unfinished"]:
        found.append(
            f"{total['unfinished']} attempts had not ended when this was counted, and are in as far as they were."
        )
    if accounting["jobs_without_rule"]:
        found.append(
            f"{accounting['jobs_without_rule']} attempts of SLURM jobs sent from this folder name no rule and are not"
            f" in the tables ({_hours_text(accounting['gpu_hours_without_rule'])})."
        )
    if usage["rules_of_unknown_hours"]:
        rules = ", ".join(usage["rules_of_unknown_hours"])
        found.append(f"The totals of hours leave out rules whose hours are unknown: {rules}.")
    if usage["benchmarks_without_job"]:
        number = len(usage["benchmarks_without_job"])
        found.append(f"{number} benchmark files do not name their job and may repeat jobs of the accounting: left out.")
    return found


def _hours_text(hours: float | None) -> str:
    return "GPU hours unknown" if hours is None else f"{hours:.2f} GPU hours"


def summary(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables of the part on cost."""
    return {
        "rules": [_shown(row) for row in usage["rules"]],
        "total": _shown(usage["total"]),
        "runs": [_shown(row) for row in usage["runs"]],
        "notes": notes(usage),
    }


def uncounted(results: Results, study: ResolvedStudy, usage: Mapping[str, Any]) -> list[str]:
    """Return the steps that left a manifest and no line in the table."""
    steps = {str(manifest["step"]) for name in all_manifests(study) if (manifest := results.json(name))}
    counted = {rule for row in usage["rules"] for rule in row["rule"].split(" + ")}
    # One rule may run a step several times in one job, and is then named after it: export_datasets.
    return sorted(step for step in steps if not any(rule.startswith(step) for rule in counted))
