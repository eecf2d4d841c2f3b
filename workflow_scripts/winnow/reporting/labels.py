"""How many responses of a study say what their prompts' labels say, and what a reader should know of the baseline."""

from collections.abc import Mapping
from typing import Any

from winnow.core.config.studies import ResolvedStudy
from winnow.core.mined import mined_datasets
from winnow.reporting.json_tables import Table, tables_of
from winnow.reporting.sources import Results
from winnow.reporting.words import clean

MEASURED = "evaluation/heldout/measured.manifest.json"
_ANSWERS = ("yes", "no", "null")


def agreement(results: Results, study: ResolvedStudy, report: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return how many responses agree with labels, by corpus and label, and their sum; None where nothing says so.

    Answers that were mined from a run stand apart, for most of them are meant to be wrong: by dataset and label.

    Args:
        results: of the study.
        study: resolved.
        report: judge_report.json of the study's own scores.
    """
    lines = (report or {}).get("labels") or []
    if not lines:
        return None
    mined = []
    for name in mined_datasets(study.datasets):
        source = f"datasets/{name}/scores/judge_report.json"
        found = (results.json(source) or {}).get("labels") or []
        mined.append({"dataset": name, "source": source, "lines": found})
    return {
        "lines": lines,
        "total": {key: sum(line[key] for line in lines) for key in ("n", *_ANSWERS)},
        "mined": mined,
    }


def words_of(study: ResolvedStudy) -> list[tuple[str, str]]:
    """Return each corpus and its words for its labels, as "sarcastic: Yes"."""
    found = []
    for corpus in study.corpora:
        answers = study.answers_of(corpus) or {}
        found.append((corpus, ", ".join(f"{title(label)}: {word}" for label, word in answers.items())))
    return found


def title(label: str) -> str:
    """Return a label as a reader sees it."""
    return clean(label.replace("_", " "))


def baseline_tables(results: Results) -> list[Table]:
    """Return what the manifest of the measured rows says of how the baseline was made."""
    return tables_of((results.json(MEASURED) or {}).get("baseline") or {}, "")
