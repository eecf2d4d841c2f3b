"""Generated responses side by side with the human one, prompt by prompt."""

from collections.abc import Collection
from typing import Any

from winnow.core.config.studies import ResolvedStudy
from winnow.reporting.sources import Results

MAX_PROMPT_CHARS = 1_500  # of a prompt on the page; the whole of it is in the table of held-out rows


def samples(results: Results, study: ResolvedStudy) -> list[dict[str, Any]]:
    """Return for each modality the prompts that were answered, each with the greedy response of every run."""
    tables = []
    for modality in study.modalities:
        runs = [f"base_{modality}", *(run.name for run in study.runs.values() if run.modality == modality)]
        prompts: dict[str, dict[str, Any]] = {}
        for run in runs:
            folder = f"evaluation/heldout/{run}"
            entropies = {
                row["id"]: row["mean_entropy"]
                for row in results.lines(f"{folder}/rows.jsonl")
                if row["kind"] == "sample"
            }
            for row in results.lines(f"{folder}/generations.jsonl"):
                if row["decoding"] == "greedy":
                    prompt = prompts.setdefault(row["prompt_id"], {"prompt_id": row["prompt_id"], "responses": []})
                    shown = {key: row[key] for key in ("run", "text", "stop_reason", "tokens")}
                    prompt["responses"].append(shown | {"mean_entropy": entropies.get(row["id"])})
        human = _human(results, modality, prompts.keys())
        tables.append(
            {
                "modality": modality,
                "prompts": [prompt | human.get(key, _UNKNOWN) for key, prompt in prompts.items()],
                "source": f"evaluation/heldout/*_{modality}*/generations.jsonl",
            }
        )
    return tables


_UNKNOWN = {"response_id": "", "prompt": "", "chars": 0, "cut": 0, "human": ""}


def filters(tables: list[dict[str, Any]]) -> list[tuple[str, str, list[str]]]:
    """Return by what the responses can be filtered: data attribute, its name for readers, and its values."""
    responses = [response for table in tables for prompt in table["prompts"] for response in prompt["responses"]]
    kinds = (("run", "run", "Model"), ("stop", "stop_reason", "Ended by"))
    found = [(name, title, list(dict.fromkeys(str(row[key]) for row in responses))) for name, key, title in kinds]
    return [(name, title, values) for name, title, values in found if len(values) > 1]


def _human(results: Results, modality: str, wanted: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return the prompt and the first human response for each of some prompts."""
    found: dict[str, dict[str, Any]] = {}
    columns = ["prompt_id", "response_id", "prompt", "completion"]
    for row in results.rows(f"evaluation/heldout/{modality}.parquet", columns):
        if row["prompt_id"] in wanted and row["prompt_id"] not in found:
            text = _said(row["prompt"][-1])
            found[row["prompt_id"]] = {
                "response_id": row["response_id"],
                "prompt": text[:MAX_PROMPT_CHARS],
                "chars": len(text),
                "cut": max(0, len(text) - MAX_PROMPT_CHARS),
                "human": _said(row["completion"][-1]),
            }
    return found


def _said(message: dict[str, Any]) -> str:
    """Return what a message says, its images left out."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] or "" for part in content)
