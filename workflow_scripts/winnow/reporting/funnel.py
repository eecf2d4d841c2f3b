"""From raw records to training rows: what each step read, kept and dropped, and why."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from winnow.core.config.studies import ResolvedStudy
from winnow.core.mined import mining_manifests
from winnow.reporting.sources import Results


@dataclass(frozen=True)
class Count:
    """One line of the funnel's summary.

    Attributes:
        what: "responses scored".
        rows: how many, or None where the table is absent.
        source: the file that was counted.
    """

    what: str
    rows: int | None
    source: str


@dataclass(frozen=True)
class Step:
    """What one step did with one kind of row, as its manifest says."""

    step: str
    what: str
    read: int
    kept: int
    dropped: dict[str, int]
    notes: dict[str, int]
    source: str


def manifests(study: ResolvedStudy) -> list[str]:
    """Return the manifests of the data steps, in the order of the flow."""
    names = [f"corpus/{corpus}/{step}.manifest.json" for corpus in study.corpora for step in ("ingest", "splits")]
    names += ["checklist/manifest.json"] * (study.signal.optimize is not None)
    names.append("scores/scores.manifest.json")
    shown = sorted({dataset.corpus for dataset in study.datasets.values()})
    pictured = [modality for modality in study.modalities if modality != "clean"]
    names += [f"corpus/{corpus}/images/{modality}.manifest.json" for corpus in shown for modality in pictured]
    for dataset in study.datasets:
        names += mining_manifests(study.datasets, dataset)
        names.append(f"datasets/{dataset}/choose.manifest.json")
        for modality in study.modalities:
            names += [f"datasets/{dataset}/{modality}/{step}.manifest.json" for step in ("render", "align")]
    for modality in study.modalities:
        names += [f"evaluation/heldout/{modality}.{step}" for step in ("manifest.json", "align.manifest.json")]
    return names + [f"exports/{name}/manifest.json" for name in study.exports]


def steps(results: Results, study: ResolvedStudy) -> list[Step]:
    """Return every count of every data step that reads, keeps and drops."""
    found = []
    for name in manifests(study):
        manifest = results.json(name) or {}
        for what, count in sorted((manifest.get("counts") or {}).items()):
            if isinstance(count, dict) and {"read", "kept"} <= count.keys():
                place = name.rsplit("/", 1)[0]
                found.append(
                    Step(
                        step=f"{manifest.get('step', 'step')}, {place}",
                        what=what,
                        read=count["read"],
                        kept=count["kept"],
                        dropped=_counted(count.get("dropped")),
                        notes=_counted(count.get("notes")),
                        source=name,
                    )
                )
    return found


def _counted(reasons: dict[str, int] | None) -> dict[str, int]:
    """Return the reasons that applied to any row."""
    return {reason: rows for reason, rows in (reasons or {}).items() if rows}


def summary(results: Results, study: ResolvedStudy, scored: int) -> list[Count]:
    """Return the funnel in a few lines, counted from the tables themselves."""
    counts = []
    for corpus in study.corpora:
        folder = f"corpus/{corpus}"
        kept = results.row_count(f"{folder}/responses.parquet")
        prompts = results.row_count(f"{folder}/prompts.parquet")
        rejected = results.row_count(f"{folder}/rejected.parquet")
        counts.append(Count(f"{corpus}: raw records turned away", rejected, f"{folder}/rejected.parquet"))
        counts.append(Count(f"{corpus}: prompts kept", prompts, f"{folder}/prompts.parquet"))
        counts.append(Count(f"{corpus}: responses kept", kept, f"{folder}/responses.parquet"))
    counts.append(Count("responses scored", scored, "scores/review_evaluations.jsonl"))
    for name, dataset in study.datasets.items():
        what = "responses selected" if dataset.stage == "sft" else "pairs made"
        counts.append(
            Count(
                f"{name}: {what}",
                results.row_count(f"datasets/{name}/chosen.parquet"),
                f"datasets/{name}/chosen.parquet",
            )
        )
    return counts


def split_counts(results: Results, study: ResolvedStudy) -> list[dict[str, Any]]:
    """Return how many rows of each dataset are in each split."""
    tables = []
    for name in study.datasets:
        source = f"datasets/{name}/chosen.parquet"
        splits = Counter(row["split"] for row in results.rows(source, ["split"]))
        tables.append({"name": name, "splits": dict(sorted(splits.items())), "source": source})
    return tables


def ledgers(results: Results, study: ResolvedStudy) -> list[dict[str, Any]]:
    """Return why rows were left out, counted from the ledgers themselves: reason → rows, most frequent first."""
    sources = [(f"{corpus}: raw records", f"corpus/{corpus}/rejected.parquet") for corpus in study.corpora]
    sources += [(f"{name}: candidates", f"datasets/{name}/ledger.parquet") for name in study.datasets]
    tables = []
    for what, source in sources:
        reasons = Counter(row["reason"] for row in results.rows(source, ["reason"]))
        ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        tables.append({"what": what, "reasons": ordered, "total": reasons.total(), "source": source})
    return tables
