"""From what the numbers were made: software, hashes, seeds, and how long each step took."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from winnow.core.config.studies import ResolvedStudy
from winnow.reporting.funnel import manifests
from winnow.reporting.sources import Results


def all_manifests(study: ResolvedStudy) -> list[str]:
    """Return every manifest of a study: data steps, base models, runs."""
    names = manifests(study) + [f"models/{model}/manifest.json" for model in study.models]
    names += [f"runs/{run}/manifest.json" for run in study.runs]
    names += [f"runs/{name}/merge.json" for name, run in study.runs.items() if run.is_adapter]
    return names


def software(results: Results, study: ResolvedStudy) -> list[dict[str, Any]]:
    """Return each package with its versions and the steps that name them; two versions are worth a look."""
    versions: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    names = [*all_manifests(study), *evaluations(study)]
    for name in names:
        manifest = results.json(name) or {}
        step = str(manifest.get("step", "evaluate_run"))
        for package, version in (manifest.get("software") or {}).items():
            versions[package][version].add(step)
    return [
        {"package": package, "version": version, "steps": sorted(steps), "several": len(found) > 1}
        for package, found in sorted(versions.items())
        for version, steps in sorted(found.items())
    ]


def evaluations(study: ResolvedStudy) -> list[str]:
    """Return the metrics files of all evaluated models."""
    runs = [*(f"base_{modality}" for modality in study.modalities), *study.runs]
    return [f"evaluation/heldout/{run}/metrics.json" for run in runs]


def hashes(results: Results, study: ResolvedStudy) -> list[dict[str, str]]:
    """Return the SHA-256 of every input, output and weight file that a manifest names."""
    found = []
    for name in all_manifests(study):
        manifest = results.json(name) or {}
        for kind in ("inputs", "outputs", "weights"):
            for file, sha256 in sorted((manifest.get(kind) or {}).items()):
                found.append({"manifest": name, "kind": kind, "file": file, "sha256": sha256})
    return found


def seeds(study: ResolvedStudy) -> list[tuple[str, Any]]:
    """Return what every draw was made with."""
    found: list[tuple[str, Any]] = [(f"corpora.{name}.splits.salt", c.splits.salt) for name, c in study.corpora.items()]
    found += [(f"corpora.{name}.seed", c.seed) for name, c in study.corpora.items() if c.adapter == "demo"]
    found += [(f"models.{name}.tiny.seed", m.tiny.seed) for name, m in study.models.items() if m.tiny]
    return found + [(f"runs.{name}.seed", run.seed) for name, run in study.runs.items()]


def times(benchmarks: Path) -> list[dict[str, Any]]:
    """Return wall time and memory by step, from Snakemake's benchmark files `<step>/.../<job>.jsonl`.

    Only the last attempt of a job is in its file, and a job that was not run anew keeps its old one.
    """
    jobs: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for file in sorted(benchmarks.rglob("*.jsonl")) if benchmarks.is_dir() else ():
        step = file.relative_to(benchmarks).parts[0].removesuffix(".jsonl")
        for line in file.read_text(encoding="utf-8").splitlines():
            jobs[step].append(json.loads(line))
    table = []
    for step, rows in jobs.items():
        seconds = [float(row["s"]) for row in rows if _is_number(row.get("s"))]
        memory = [float(row["max_rss"]) for row in rows if _is_number(row.get("max_rss"))]
        table.append(
            {
                "step": step,
                "jobs": len(rows),
                "seconds": sum(seconds) if seconds else None,
                "longest": max(seconds, default=None),
                "memory_mb": max(memory, default=None),
            }
        )
    return sorted(table, key=lambda row: (-(row["seconds"] or 0), row["step"]))


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def untimed(results: Results, study: ResolvedStudy, timed: list[dict[str, Any]]) -> list[str]:
    """Return the steps that left a manifest and no benchmark file (a step's trainings may share one name)."""
    steps = {str(manifest["step"]) for name in all_manifests(study) if (manifest := results.json(name) or {})}
    names = {row["step"] for row in timed}
    return sorted(step for step in steps if not any(step == name or step.startswith(f"{name}_") for name in names))
