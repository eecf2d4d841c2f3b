"""Generated responses side by side with the human ones and their checkmarks, prompt by prompt."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from winnow.core.config.studies import ResolvedStudy
from winnow.reporting.sources import Results

MAX_PROMPTS = 12  # of each modality; all are in the files named beside them
MAX_PROMPT_CHARS = 1_500
HELDOUT = "evaluation/heldout"
HUMAN = "human"

Row = dict[str, Any]


def samples(results: Results, study: ResolvedStudy, questions: Mapping[str, str]) -> list[Row]:
    """Return for each modality the first prompts that were answered, with what people and every run wrote.

    Args:
        results: of the study.
        study: resolved.
        questions: of the checklist, by item.
    """
    runs = {
        modality: [f"base_{modality}", *(run.name for run in study.runs.values() if run.modality == modality)]
        for modality in study.modalities
    }
    generated = {
        name: list(results.lines(f"{HELDOUT}/{name}/generations.jsonl")) for of in runs.values() for name in of
    }
    shown = {row["prompt_id"] for rows in generated.values() for row in _first_prompts(rows)}
    if not shown:
        return []
    measured = {row["id"]: row for row in results.lines(f"{HELDOUT}/measured.jsonl") if row["prompt_id"] in shown}
    columns = ["response_id", "prompt_id", "rating", "flags"]
    parsed = {
        row["response_id"]: row
        for row in results.rows(f"{HELDOUT}/responses.parquet", columns)
        if row["prompt_id"] in shown
    }
    tables = []
    for modality, names in runs.items():
        rows = [row for name in names for row in _first_prompts(generated[name])]
        ids = list(dict.fromkeys(row["prompt_id"] for row in rows))
        everything = {row["prompt_id"] for name in names for row in generated[name]}
        people = _people(results, modality, ids, measured)
        by_people = Counter(row["prompt_id"] for row in measured.values() if row["run"] == HUMAN)
        responses = [_response(row, measured.get(row["id"]), parsed.get(row["id"])) for row in rows]
        tables.append(
            {
                "modality": modality,
                "all": len(everything),
                "prompts": [
                    _prompt(prompt, people[prompt], [r for r in responses if r["prompt_id"] == prompt], questions)
                    | {"all_people": max(by_people[prompt], len(people[prompt]))}
                    for prompt in ids
                ],
                "sources": [
                    *(f"{HELDOUT}/{name}/generations.jsonl" for name in names),
                    *(f"{HELDOUT}/{name}" for name in (f"{modality}.parquet", "measured.jsonl", "responses.parquet")),
                ],
            }
        )
    return tables


def _first_prompts(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the first prompts, which are in the order in which they were drawn."""
    wanted = list(dict.fromkeys(row["prompt_id"] for row in rows))[:MAX_PROMPTS]
    return [row for row in rows if row["prompt_id"] in wanted]


def _people(
    results: Results, modality: str, prompts: Iterable[str], measured: Mapping[str, Row]
) -> dict[str, list[Row]]:
    """Return what people wrote on each prompt, and the prompt as the model was shown it."""
    found: dict[str, list[Row]] = {prompt: [] for prompt in prompts}
    columns = ["prompt_id", "response_id", "prompt", "completion", "rating"]
    for row in results.rows(f"{HELDOUT}/{modality}.parquet", columns):
        if row["prompt_id"] in found:
            facts = _facts(measured.get(row["response_id"]))
            own = {"id": row["response_id"], "text": _said(row["completion"][-1]), "shown": _said(row["prompt"][-1])}
            found[row["prompt_id"]].append(facts | own | {"rating": row["rating"]})
    return found


def _said(message: Row) -> str:
    """Return what a message says, its images left out."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] or "" for part in content)


def _facts(row: Row | None) -> Row:
    """Return what was measured of a response, as far as it stands beside its text; null where it was not."""
    values, answers = (row or {}).get("values") or {}, (row or {}).get("answers") or {}
    given = [answer for answer in answers.values() if answer is not None]
    return {
        "answers": answers,
        "passed": given.count("yes") if given else None,
        "answered": len(given),
        "mean_entropy": values.get("mean_entropy"),
        "verdict": _yes_or_no(values.get("decision_correct"), "right", "wrong"),
        "format": _yes_or_no(values.get("valid_format"), "valid", "not valid"),
        **{key: (row or {}).get(key) for key in ("year", "decision", "predicted")},
    }


def _yes_or_no(value: float | None, yes: str, no: str) -> str:
    return "not known" if value is None else yes if value else no


def _response(row: Row, measured: Row | None, parsed: Row | None) -> Row:
    own = {key: row[key] for key in ("id", "run", "prompt_id", "sample", "decoding", "text", "tokens", "stop_reason")}
    read = {"rating": (parsed or {}).get("rating"), "flags": list((parsed or {}).get("flags") or [])}
    return _facts(measured) | own | read


def _prompt(prompt: str, people: Sequence[Row], responses: Sequence[Row], questions: Mapping[str, str]) -> Row:
    text = people[0]["shown"] if people else ""
    ratings = [person["rating"] for person in people if person["rating"] is not None]
    greedy = [row for row in responses if row["decoding"] == "greedy"]
    sampled = [row for row in responses if row["decoding"] != "greedy"]
    columns = [(f"Human {number}", person) for number, person in enumerate(people, start=1)]
    first: Row = responses[0] if responses else {}
    return {
        "prompt_id": prompt,
        "year": first.get("year"),
        "decision": first.get("decision"),
        "prompt": text[:MAX_PROMPT_CHARS],
        "chars": len(text),
        "cut": max(0, len(text) - MAX_PROMPT_CHARS),
        "people": people,
        "human_rating": sum(ratings) / len(ratings) if ratings else None,
        "greedy": greedy,
        "sampled": sampled,
        "checkmarks": _checkmarks([*columns, *((row["run"], row) for row in greedy)], questions),
        "checkmarks_sampled": _checkmarks([(f"{row['run']} {row['sample']}", row) for row in sampled], questions),
    }


def _checkmarks(columns: Sequence[tuple[str, Row]], questions: Mapping[str, str]) -> Row | None:
    """Return the judge's answers, a line for each item and a column for each response; None where none was judged."""
    judged = [(name, row["answers"]) for name, row in columns if row["answers"]]
    if not judged:
        return None
    items = [item for item in questions if any(item in answers for _, answers in judged)]
    items += sorted({item for _, answers in judged for item in answers} - set(items))
    lines = [(item, questions.get(item, ""), [answers.get(item) for _, answers in judged]) for item in items]
    return {"columns": [name for name, _ in judged], "lines": lines}


def filters(tables: Sequence[Row]) -> list[tuple[str, str, list[str]]]:
    """Return by what the responses can be filtered: data attribute, its name for readers, and its values."""
    responses = [
        row for table in tables for prompt in table["prompts"] for row in (*prompt["greedy"], *prompt["sampled"])
    ]
    kinds = (("run", "Model"), ("stop_reason", "Ended by"), ("format", "Format"), ("verdict", "Decision"))
    found = [(name, title, list(dict.fromkeys(str(row[name]) for row in responses))) for name, title in kinds]
    return [(name.removesuffix("_reason"), title, values) for name, title, values in found if len(values) > 1]
