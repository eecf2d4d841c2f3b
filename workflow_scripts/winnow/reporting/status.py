"""The head of the report: what a reader must know before any number."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from winnow.core.config.studies import ResolvedStudy
from winnow.reporting.baseline import against_reference
from winnow.reporting.judging import gates
from winnow.reporting.responses import verdict_counts
from winnow.reporting.task import DECODINGS, inside, task_of

Level = Literal["good", "note", "bad"]
MUCH_UNPARSED = 0.1


@dataclass(frozen=True)
class Status:
    """One line of the head.

    Attributes:
        topic: "Checklist".
        level: good; note: to be kept in mind; bad: a number below may not be used.
        text: what is the case.
        source: the file that says so.
    """

    topic: str
    level: Level
    text: str
    source: str


def data_status(study: ResolvedStudy) -> Status:
    """Say whether the data are real."""
    made_up = sorted(name for name, corpus in study.corpora.items() if corpus.adapter == "demo")
    if made_up:
        text = f"synthetic ({', '.join(made_up)}): the numbers show that the machinery works, and nothing about reviews"
        return Status("Data", "bad", text, "study.json")
    return Status("Data", "good", f"given corpora: {', '.join(sorted(study.corpora))}", "study.json")


def model_status(study: ResolvedStudy) -> Status:
    """Say whether the base models are real."""
    used = sorted({settings.model for settings in study.modalities.values()})
    tiny = [name for name in used if study.models[name].tiny]
    if tiny:
        text = (
            f"random tiny model ({', '.join(tiny)}) that saw no text but this study's:"
            " its numbers say nothing about pretrained models"
        )
        return Status("Base model", "bad", text, "study.json")
    names = ", ".join(f"{name}: {study.models[name].name or study.models[name].path}" for name in used)
    return Status("Base model", "good", names, "study.json")


def checklist_status(study: ResolvedStudy, result: Mapping[str, Any] | None) -> Status:
    """Say whether the checklist was shown to measure anything (rule C12).

    Args:
        study: says whether a checklist was chosen at all.
        result: what `checklists.read_result` returned.
    """
    checklist = study.signal.checklist or ""
    if result is None:
        if study.signal.optimize is None and not checklist.endswith(".json"):
            text = "given, not tested: nothing shows that its checkmarks track quality"
            return Status("Checklist", "note", text, checklist)
        file = "checklist/optimal_checklist.json" if study.signal.optimize is not None else checklist
        return Status("Checklist", "bad", "its file is not there, so its status is unknown", file)
    permutation = result.get("permutation") or {}
    p = f" (p = {permutation['p']:.3g}, {permutation.get('B')} permutations)" if "p" in permutation else ""
    status = str(result.get("status", "unknown"))
    level: Level = "good" if status == "validated" else "bad"
    return Status("Checklist", level, status.replace("_", " ") + p, str(result["source"]))


def gate_status(report: Any, source: str, topic: str = "Judge") -> Status:
    """Say whether the gates of what gave the scores held, and how many say nothing."""
    found = Counter(gate["verdict"] for gate in gates(report))
    if not found:
        return Status(topic, "bad", "no gate was recorded", source)
    if found["failed"]:
        failed = sorted(str(gate["name"]) for gate in gates(report) if gate["verdict"] == "failed")
        return Status(topic, "bad", f"gates failed: {', '.join(failed)}", source)
    measured = found["passed"] + found["not measured"]
    text = f"{found['passed']} of {measured} gates passed"
    text += "".join(f", {found[verdict]} {verdict}" for verdict in ("not measured", "not gated") if found[verdict])
    return Status(topic, "note" if found["not measured"] or not found["passed"] else "good", text, source)


def validation_status(validations: Sequence[Mapping[str, Any]]) -> Status:
    """Say whether every rule held in every dataset, from the tables that `validation.summaries` returns."""
    source = "datasets/*/*/validation.json"
    failed = [
        f"{table['dataset']}/{table['modality']}: {rule['rule']}"
        for table in validations
        for rule in table["rules"]
        if rule["verdict"] == "fail"
    ]
    unknown = [f"{table['dataset']}/{table['modality']}" for table in validations if not table["rules"]]
    if failed or unknown:
        parts = [f"failed: {', '.join(failed)}"] * bool(failed) + [f"no report: {', '.join(unknown)}"] * bool(unknown)
        return Status("Validation", "bad", "; ".join(parts), source)
    rules = sum(len(table["rules"]) for table in validations)
    warned = sum(rule["verdict"] == "warn" for table in validations for rule in table["rules"])
    text = f"{rules} rules checked in {len(validations)} tables, none failed, {warned} with a warning"
    return Status("Validation", "note" if warned else "good", text, source)


def training_status(alarms: Sequence[Mapping[str, Any]], changed: Mapping[str, Sequence[str]]) -> list[Status]:
    """Say which trainings raised an alarm or were run with other settings than the study now has."""
    source = "runs/*/manifest.json"
    if alarms:
        runs: dict[str, list[str]] = {}  # what is said of several runs is said once
        for alarm in alarms:
            runs.setdefault(str(alarm.get("message") or alarm.get("name")), []).append(str(alarm["run"]))
        text = "; ".join(f"{', '.join(named)}: {said}" for said, named in runs.items())
        lines = [Status("Alarms", "bad", f"{len(alarms)}: {text}", source)]
    else:
        lines = [Status("Alarms", "good", "none in any training", source)]
    if drifted := sorted(name for name, keys in changed.items() if keys):
        text = f"trained with settings that the study no longer has: {', '.join(drifted)}"
        lines.append(Status("Plan", "bad", text, "runs/*/spec.json"))
    return lines


def _first_tables(comparison: Mapping[str, Any] | None) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield modality, what to call its first decoding, and that table: what leaves least to chance."""
    task = task_of(comparison)
    for modality, by_decoding in ((comparison or {}).get("responses") or {}).items():
        for decoding in (name for name in DECODINGS if name in by_decoding):
            where = modality if decoding == "greedy" else f"{modality}, {inside(task['decodings'][decoding])}"
            yield modality, where, by_decoding[decoding]
            break


def baseline_status(comparison: Mapping[str, Any] | None, source: str) -> list[Status]:
    """Say which trained models beat the one that needs no training of ours; of a sweep what was chosen."""
    sweeps = (comparison or {}).get("sweeps") or ()
    passed_over = {run for one in sweeps for arm in one["candidates"] for run in arm["runs"] if run != one["chosen"]}
    lines = []
    for _, where, table in _first_tables(comparison):
        trained = [one for one in against_reference(table, task_of(comparison)) if one["stage"] != "base"]
        told = [one for one in trained if one["run"] not in passed_over]
        if trained:
            verdicts = [one["verdict"] for one in told]
            level: Level = "bad" if "worse" in verdicts else "good" if "better" in verdicts else "note"
            more = (
                [f"Of {len(trained) - len(told)} more arms of sweeps see Comparison."]
                if len(told) < len(trained)
                else []
            )
            text = "\n".join([f"{where}:", *(one["text"] for one in told), *more])
            lines.append(Status("Baseline", level, text, source))
    return lines


def verdict_status(comparison: Mapping[str, Any] | None, source: str) -> list[Status]:
    """Say for each modality on how many primary metrics its responses got better or worse by training."""
    primary = ((comparison or {}).get("family") or {}).get("metrics") or []
    lines = []
    for modality, where, table in _first_tables(comparison):
        found: dict[tuple[str, int, int], list[str]] = {}
        for row in table["rows"]:
            # A parent that is the base model is said once.
            others = {f"base_{modality}": "to_base", row["parent"]: "to_parent"} if row["to_base"] else {}
            for other, key in others.items():
                counts = verdict_counts(row, key, primary)
                found.setdefault((other, counts["better"], counts["worse"]), []).append(row["run"])
        if found:
            level: Level = "bad" if any(key[2] for key in found) else "good" if any(key[1] for key in found) else "note"
            metrics = "metric" if len(primary) == 1 else "metrics"
            said = [
                f"{', '.join(runs)} against {other} {better} better, {worse} worse"
                for (other, better, worse), runs in found.items()
            ]
            text = f"{where}, of {len(primary)} primary {metrics}: {'; '.join(said)}"
            lines.append(Status("Verdict", level, text, source))
    return lines


def failure_status(comparison: Mapping[str, Any] | None, source: str) -> list[Status]:
    """Say which models wrote more than a tenth of responses that cannot be read; untrained ones are noted."""
    unread: Counter[tuple[str, str]] = Counter()
    all_of: Counter[tuple[str, str]] = Counter()
    for by_decoding in ((comparison or {}).get("responses") or {}).values():
        for decoding, table in by_decoding.items():
            for row in table["rows"] if decoding != "logprob" else ():  # nothing was written there
                unread[row["stage"], row["run"]] += row["failures"].get("unparsed", 0)
                all_of[row["stage"], row["run"]] += row["n"]
    found: dict[Level, list[str]] = {"bad": [], "note": []}
    for (stage, run), n in all_of.items():
        if n and (share := unread[stage, run] / n) > MUCH_UNPARSED:
            found["note" if stage == "base" else "bad"].append(f"{run} {100 * share:.0f} % of {n}")
    return [
        Status("Unparsed", level, f"counted as wrong: {', '.join(shares)}", source)
        for level, shares in found.items()
        if shares
    ]


def lineage_status(gaps: Sequence[str]) -> list[Status]:
    """Say which models do not follow back to raw files by hashes."""
    if not gaps:
        return []
    return [Status("Lineage", "bad", f"{len(gaps)} gaps: {'; '.join(gaps)}", "the manifests of all steps")]


def missing_status(missing: Sequence[str]) -> list[Status]:
    """Say which files the report could not find."""
    if not missing:
        return []
    return [Status("Missing", "bad", f"{len(missing)} files are not there: {', '.join(missing)}", "this folder")]
