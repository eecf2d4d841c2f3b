"""From a finished model back to what came from outside, by hashes alone: what nobody made is a gap.

Every manifest names what it read and what it made by SHA-256. A walk from a run's manifest goes from each hash that was
read to the manifest that made it, until only raw files are left: those of a corpus, and what a study or Winnow brings
along (checklists, templates, labels).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import commonpath
from typing import Any

from winnow.core.config.studies import ResolvedStudy
from winnow.core.ids import canonical_json, sha256_file, sha256_text
from winnow.reporting.provenance import all_manifests
from winnow.reporting.sources import Results

# Step → which of its inputs may come from outside; "" at the end stands for every name that begins so.
_OUTSIDE: dict[str, tuple[str, ...]] = {
    "ingest": ("",),
    "draw_images": ("sources",),
    "optimize_checklist": ("checklist", "labels", "judged/"),
    "gather_scores": ("checklist", "annotations", "sheet", "judged/", "compared/"),
    "render_dataset": ("template",),
    "render_heldout": ("template",),
    "train_sft": ("files/",),
    "train_dpo": ("files/",),
}

_GENERATED = "generate_responses"  # names weights that it read; other steps name those that they made


@dataclass(frozen=True)
class Raw:
    """Something from outside: which step read it, under which name, with which hash (a model of the hub: commit)."""

    step: str
    name: str
    sha256: str


@dataclass
class Lineage:
    """What a run descends from.

    Attributes:
        manifests: of all steps that it follows from, its own first.
        raw: what came from outside.
        gaps: where the chain is broken, in words; empty if it is whole.
    """

    manifests: list[str] = field(default_factory=list)
    raw: list[Raw] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)


def last_manifest(study: ResolvedStudy, run: str) -> str:
    """Return the manifest that vouches for a run's finished model."""
    return f"runs/{run}/{'merge' if study.runs[run].is_adapter else 'manifest'}.json"


def _named(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield name and hash of everything that a step read."""
    yield from (manifest.get("inputs") or {}).items()
    for kind in ("judged", "compared"):  # verdicts of a judge, all rows together: shards have no manifest
        for name, sha256 in (manifest.get(kind) or {}).items():
            yield f"{kind}/{name}", sha256
    if manifest.get("sources_sha256"):  # of images: names and hashes of all files together
        yield "sources", manifest["sources_sha256"]
    for name, sha256 in (manifest.get("adapter") or {}).items():
        yield f"adapter/{name}", sha256
    if manifest.get("step") == _GENERATED:
        for name, sha256 in manifest["weights"].items():
            yield f"weights/{name}", sha256
    made_from = manifest.get("made_from") or {}
    for kind in ("data", "model", "weights", "files"):
        for name, sha256 in (made_from.get(kind) or {}).items():
            yield f"{kind}/{name}", sha256


def _made(results: Results, name: str, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield the hash of everything that a step made, its manifest included."""
    kinds = ("outputs",) if manifest.get("step") == _GENERATED else ("outputs", "weights")
    for kind in kinds:
        yield from (manifest.get(kind) or {}).values()
    path = results.path(name)
    if path is not None:
        yield sha256_file(path)


def _from_outside(step: str, name: str) -> bool:
    return any(
        name.startswith(allowed) if allowed.endswith("/") or not allowed else name == allowed
        for allowed in _OUTSIDE.get(step, ())
    )


def _brought(manifest: Mapping[str, Any]) -> Iterator[Raw]:
    """Yield what a base model is that was not built here: weights by hash, or the hub's name and commit."""
    model = manifest.get("model") or {}
    if model.get("kind") == "path":
        for name, sha256 in manifest["weights"].items():
            yield Raw("prepare_model", name, sha256)
    elif model.get("kind") == "hub":
        yield Raw("prepare_model", model["source"], model["revision"])


def _nearest(makers: Sequence[str], reader: str) -> str:
    """Return which of the steps that made equal bytes (an empty table, say) a reader means: the one nearest to it."""
    return max(makers, key=lambda name: len(commonpath([name, reader])))


def lineage(results: Results, study: ResolvedStudy, run: str) -> Lineage:
    """Return what a run's finished model descends from, and where the chain is broken.

    Args:
        results: of the study.
        study: resolved.
        run: the name of a run.
    """
    manifests = {name: found for name in all_manifests(study) if (found := results.json(name)) is not None}
    makers: defaultdict[str, list[str]] = defaultdict(list)
    for name, manifest in manifests.items():
        for sha256 in _made(results, name, manifest):
            makers[sha256].append(name)
    found, start = Lineage(), last_manifest(study, run)
    if start not in manifests:
        found.gaps.append(f"{start}: there is no such file")
        return found
    raw: set[Raw] = set()
    queue = [start]
    while queue:
        here = queue.pop(0)
        if here in found.manifests:
            continue
        found.manifests.append(here)
        step = str(manifests[here].get("step"))
        found.gaps += _of_another_identity(here, manifests[here])
        raw.update(_brought(manifests[here]))
        for name, sha256 in sorted(_named(manifests[here])):
            if sha256 in makers:
                queue.append(_nearest(makers[sha256], here))
            elif _from_outside(step, name):
                raw.add(Raw(step, name, sha256))
            else:
                found.gaps.append(f"{here}: {name} has the hash {sha256[:16]}…, which no step's manifest says it made")
    found.raw = sorted(raw, key=lambda one: (one.step, one.name, one.sha256))
    return found


def _of_another_identity(name: str, manifest: Mapping[str, Any]) -> list[str]:
    """Return why a training's manifest cannot be what it says: its identity is the hash of what it was made from."""
    if not str(manifest.get("step")).startswith("train_"):
        return []
    made_from = manifest.get("made_from")
    if made_from is None:
        return [f"{name}: does not say what the run was made from (made_from)"]
    if sha256_text(canonical_json(made_from))[:16] != manifest["run"]["identity"]:
        return [f"{name}: what it says the run was made from (made_from) is not what its identity is the hash of"]
    return []


def all_gaps(results: Results, study: ResolvedStudy) -> list[str]:
    """Return the gaps of every run of a study, each once."""
    return sorted({gap for run in study.runs for gap in lineage(results, study, run).gaps})


def cards(results: Results, study: ResolvedStudy) -> list[str]:
    """Return the cards of a study that are there."""
    names = [f"datasets/{name}/{modality}/dataset_card.md" for name in study.datasets for modality in study.modalities]
    return [name for name in (*names, *(f"runs/{run}/model_card.md" for run in study.runs)) if results.path(name)]
