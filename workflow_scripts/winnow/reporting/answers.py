"""Labelled prompts with what every model answered: the more probable word, and the first word of what it wrote."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from winnow.core.config.studies import ResolvedStudy
from winnow.reporting.labels import title
from winnow.reporting.samples import HELDOUT
from winnow.reporting.sources import Results

MAX_PROMPTS = 60  # of each modality; all are in the files named beside them
UNPARSED = "unparsed"
TIE = "tie"  # of probabilities: no verdict either
MAX_CHARS = 300  # of a response: what names a label is its first word
_FIELDS = ("title", "abstract", "body")

Row = dict[str, Any]


def answers(results: Results, study: ResolvedStudy) -> list[Row]:
    """Return for each modality the first prompts that were answered, with their labels and a line for each model."""
    tables = []
    for modality in study.modalities:
        runs = [f"base_{modality}", *(run.name for run in study.runs.values() if run.modality == modality)]
        generated = {run: list(results.lines(f"{HELDOUT}/{run}/generations.jsonl")) for run in runs}
        everything = list(dict.fromkeys(row["prompt_id"] for rows in generated.values() for row in rows))
        shown = everything[:MAX_PROMPTS]
        if not shown:
            continue
        texts, sources = _prompts(results, study, modality, shown)
        verdicts = _verdicts(results, runs, set(shown))
        probable = {run: _probable(results, run, set(shown)) for run in runs}
        tables.append(
            {
                "modality": modality,
                "all": len(everything),
                "prompts": [
                    texts[prompt]
                    | {
                        "prompt_id": prompt,
                        "lines": [
                            _line(run, [row for row in generated[run] if row["prompt_id"] == prompt], verdicts)
                            | _by_probability(
                                verdicts.get(f"{run}/{prompt}/logprob"),
                                probable[run].get(prompt),
                                texts[prompt]["words"],
                            )
                            for run in runs
                        ],
                    }
                    for prompt in shown
                ],
                "sources": [
                    *sources,
                    f"{HELDOUT}/measured.jsonl",
                    *(f"{HELDOUT}/{run}/{file}.jsonl" for run in runs for file in ("generations", "rows")),
                ],
            }
        )
    return tables


def _prompts(
    results: Results, study: ResolvedStudy, modality: str, shown: Sequence[str]
) -> tuple[dict[str, Row], list[str]]:
    """Return text, label, source and words that answer of each prompt, and the tables that they are read from."""
    heldout, wanted = f"{HELDOUT}/{modality}.parquet", set(shown)
    corpora = {row["prompt_id"]: row["corpus"] for row in results.rows(heldout, ["prompt_id", "corpus"])}
    named = sorted({corpus for prompt, corpus in corpora.items() if prompt in wanted})
    tables = [f"corpus/{corpus}/prompts.parquet" for corpus in named]
    found = {
        row["prompt_id"]: {
            "text": "\n\n".join(row[field] for field in _FIELDS if row[field]),
            "label": row["label"],
            "source": row["source"],
            "words": study.answers_of(corpus) or {},
        }
        for corpus, table in zip(named, tables, strict=True)
        for row in results.rows(table, ["prompt_id", "label", "source", *_FIELDS])
        if row["prompt_id"] in wanted and corpora.get(row["prompt_id"]) == corpus
    }
    unknown: Row = {"text": None, "label": None, "source": None, "words": {}}
    return {prompt: found.get(prompt, unknown) for prompt in shown}, [heldout, *tables]


def _verdicts(results: Results, runs: Sequence[str], shown: set[str]) -> dict[str, str]:
    """Return what was measured of each response of some runs to the shown prompts, by its id."""
    return {
        row["id"]: _verdict(row["predicted"], row["values"].get("decision_correct"))
        for row in results.lines(f"{HELDOUT}/measured.jsonl")
        if row["prompt_id"] in shown and row["run"] in runs
    }


def _verdict(predicted: str | None, correct: float | None) -> str:
    """Return right, wrong or unparsed; what names no label is wrong too, and is told apart here."""
    if predicted is None:
        return UNPARSED
    return "not known" if correct is None else "right" if correct else "wrong"


def _probable(results: Results, run: str, shown: set[str]) -> dict[str, Mapping[str, float]]:
    """Return the log-probability of each label's word, in nats, by prompt."""
    rows = results.lines(f"{HELDOUT}/{run}/rows.jsonl")
    return {row["prompt_id"]: row["logps"] for row in rows if row["kind"] == "label" and row["prompt_id"] in shown}


def _by_probability(verdict: str | None, logps: Mapping[str, float] | None, words: Mapping[str, str]) -> Row:
    """Return the more probable label, whether it is right, and each word's log-probability, the largest first."""
    ordered = sorted((logps or {}).items(), key=lambda item: (-item[1], item[0]))
    return {
        "probable": title(ordered[0][0]) if ordered and verdict != UNPARSED else None,
        "probability": TIE if verdict == UNPARSED else verdict or "not known",
        "logps": [(words.get(label, title(label)), nats) for label, nats in ordered],
    }


def _line(run: str, rows: Iterable[Row], verdicts: Mapping[str, str]) -> Row:
    """Return one model's responses to one prompt: the greedy one, and the drawn ones."""
    said = [
        {key: row[key] for key in ("stop_reason", "decoding")}
        | {"text": (row["text"] or "").strip()[:MAX_CHARS], "cut": max(0, len((row["text"] or "").strip()) - MAX_CHARS)}
        | {"verdict": verdicts.get(row["id"], "not known")}
        for row in rows
    ]
    greedy = next((row for row in said if row["decoding"] == "greedy"), None)
    drawn = [row for row in said if row["decoding"] != "greedy"]
    return {"run": run, "greedy": greedy, "drawn": drawn}


def filters(tables: Sequence[Row]) -> list[tuple[str, str, list[str]]]:
    """Return by what the lines can be filtered: data attribute, its name for readers, and its values."""
    found: dict[str, list[str]] = {"run": [], "label": [], "probability": [], "greedy": []}
    for prompt in (prompt for table in tables for prompt in table["prompts"]):
        for line in prompt["lines"]:
            found["run"].append(line["run"])
            found["label"].append(title(prompt["label"] or "none"))
            found["probability"].append(line["probability"])
            found["greedy"].append(line["greedy"]["verdict"] if line["greedy"] else "none")
    titles = {"run": "Model", "label": "Label", "probability": "By probability", "greedy": "Greedy response"}
    kinds = [(name, titles[name], list(dict.fromkeys(values))) for name, values in found.items()]
    return [(name, words, values) for name, words, values in kinds if len(values) > 1]
