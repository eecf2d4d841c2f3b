"""From what the numbers were made: software, hashes, seeds."""

from collections import defaultdict
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
