"""Fitted drafts as rows of a table: what is said, and what is known of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from winnow.core.tables import Row
from winnow.datasets.fitting import Fitted
from winnow.datasets.messages import answer_message
from winnow.datasets.scores import raw_scores


class Facts(NamedTuple):
    """What a rendered row keeps of a response's score."""

    checkmark_count: int | None = None
    checkmark_score: float | None = None


def score_facts(path: Path, corpus: str, ids: set[str]) -> dict[str, Facts]:
    """Return the checkmarks of some responses."""
    return {
        row["response_id"]: Facts(row["checkmark_count"], row["checkmark_score"])
        for row in raw_scores(path, corpus)
        if row["response_id"] in ids
    }


def _common(row: Fitted, corpus: str) -> Row:
    return {
        "prompt": row.messages,
        "prompt_id": row.draft.prompt["prompt_id"],
        "corpus": corpus,
        "split": row.draft.source["split"],
        "decision": row.draft.prompt["decision"],
        "year": row.draft.prompt["year"],
        "prompt_tokens": row.prompt_tokens,
        "prompt_tokens_cut": row.prompt_tokens_cut,
    } | ({} if row.images is None else {"images": [image.path for image in row.images]})


def sft_row(row: Fitted, corpus: str, facts: Mapping[str, Facts]) -> Row:
    """Return a row of RENDERED_SFT, or of RENDERED_SFT_IMAGES."""
    (response,) = row.draft.responses
    score = facts.get(response["response_id"], Facts())
    return {
        **_common(row, corpus),
        "completion": answer_message(row.texts[0], typed=row.images is not None),
        "response_id": response["response_id"],
        "completion_tokens": row.completion_tokens[0],
        "rating": response["rating"],
        "checkmark_count": score.checkmark_count,
        "checkmark_score": score.checkmark_score,
    }


def dpo_row(row: Fitted, corpus: str, facts: Mapping[str, Facts]) -> Row:
    """Return a row of RENDERED_DPO, or of RENDERED_DPO_IMAGES."""
    sides: Row = {}
    for side, response, text, tokens in zip(
        ("chosen", "rejected"), row.draft.responses, row.texts, row.completion_tokens, strict=True
    ):
        sides[side] = answer_message(text, typed=row.images is not None)
        sides[f"{side}_id"] = response["response_id"]
        sides[f"{side}_tokens"] = tokens
        sides[f"{side}_rating"] = response["rating"]
        sides[f"{side}_checkmark_count"] = facts.get(response["response_id"], Facts()).checkmark_count
    return {**_common(row, corpus), "pair_id": row.draft.source["pair_id"], **sides}
