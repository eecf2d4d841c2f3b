"""Generated responses side by side with the human one, prompt by prompt."""

from typing import Any

from winnow.core.config.studies import ResolvedStudy
from winnow.reporting.sources import Results

MAX_PROMPT_CHARS = 1_500  # of a prompt on the page; the whole of it is in the file named beside it


def samples(results: Results, study: ResolvedStudy) -> list[dict[str, Any]]:
    """Return for each modality the prompts that were sampled, each with the response of every run."""
    tables = []
    for modality in study.modalities:
        runs = [f"base_{modality}", *(run.name for run in study.runs.values() if run.modality == modality)]
        prompts: dict[str, dict[str, Any]] = {}
        for run in runs:
            for row in results.lines(f"evaluation/heldout/{run}/generations.jsonl"):
                prompt = prompts.setdefault(row["prompt_id"], _prompt(row))
                prompt["responses"].append({"run": run, **{key: row[key] for key in _SHOWN}})
        tables.append(
            {
                "modality": modality,
                "prompts": list(prompts.values()),
                "source": f"evaluation/heldout/*_{modality}*/generations.jsonl",
            }
        )
    return tables


_SHOWN = ("text", "stop_reason", "tokens", "mean_entropy")


def _prompt(row: dict[str, Any]) -> dict[str, Any]:
    text = row["prompt"]
    return {
        "prompt_id": row["prompt_id"],
        "response_id": row["response_id"],
        "prompt": text[:MAX_PROMPT_CHARS],
        "chars": len(text),
        "cut": max(0, len(text) - MAX_PROMPT_CHARS),
        "human": row["human"],
        "responses": [],
    }
