"""Which held-out prompts are answered: the same ones for every run, whatever order a table has."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winnow.core.ids import unit_interval
from winnow.core.tables import read_rows
from winnow.models.encoding import encode_prompt


@dataclass(frozen=True)
class Prompt:
    """A prompt that is answered.

    Attributes:
        prompt_id: of the paper.
        ids: token ids up to the response; an image is one token.
        images: paths of the images that it shows.
        tokens: its length as the model reads it, each image with all its tokens.
    """

    prompt_id: str
    ids: tuple[int, ...]
    images: tuple[str, ...]
    tokens: int


def choose_prompts(ids: Sequence[tuple[str, str]], count: int | None = None) -> dict[str, str]:
    """Return the first `count` prompts by hash, each with the one response whose row asks for it.

    A prompt says which parts its review has, so that the rows of one paper may ask otherwise.

    Args:
        ids: prompt id and response id of every held-out row.
        count: how many prompts; None takes all, as it does where there are fewer.

    Returns:
        prompt id → response id, in the order of the hash. Which response it is does not depend on `count`.
    """
    first: dict[str, str] = {}
    for prompt_id, response_id in sorted(ids, key=lambda pair: (unit_interval(pair[1], "sample"), pair[1])):
        first.setdefault(prompt_id, response_id)
    prompts = sorted(first, key=lambda prompt_id: (unit_interval(prompt_id, "sample"), prompt_id))
    return {prompt_id: first[prompt_id] for prompt_id in prompts[:count]}


def read_prompts(table: Path, tokenizer: Any, count: int | None = None, *, images: bool = False) -> list[Prompt]:
    """Return the prompts of a rendered table that are answered, in the order of their hash.

    Args:
        table: rendered held-out rows.
        tokenizer: of the base model, with its chat template.
        count: see `choose_prompts`.
        images: whether the table's prompts show images.
    """
    ids = [(row["prompt_id"], row["response_id"]) for row in read_rows(table, ["prompt_id", "response_id"])]
    order = {response_id: rank for rank, response_id in enumerate(choose_prompts(ids, count).values())}
    columns = ["prompt_id", "response_id", "prompt", "prompt_tokens", *(["images"] if images else [])]
    found: dict[int, Prompt] = {}
    for row in read_rows(table, columns):
        if row["response_id"] in order:
            encoded = encode_prompt(tokenizer, row["prompt"])
            shown = tuple(row["images"]) if images else ()
            tokens = max(len(encoded), row["prompt_tokens"] or 0)
            found[order[row["response_id"]]] = Prompt(row["prompt_id"], encoded, shown, tokens)
    return [found[rank] for rank in sorted(found)]
