"""From chosen ids to rendered rows: fetch texts late, fit them to the budget, count what was cut or dropped."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from winnow.core.errors import WinnowError
from winnow.core.manifest import Tally
from winnow.core.tables import Row
from winnow.datasets.late_text import prompts_with_responses
from winnow.datasets.render import Budget, ChatTokens, Message, cut_to_fit
from winnow.datasets.scores import raw_scores
from winnow.datasets.template import Template, cut_field, response_text, shown_fields, system_text, user_text
from winnow.datasets.text import escaped

BATCH = 64  # drafts that are tokenised together

RESPONSE_TOO_LONG = "response_too_long"
PROMPT_TOO_LONG = "prompt_too_long"

PROMPT_COLUMNS = ("title", "abstract", "body", "decision", "year")
RESPONSE_COLUMNS = ("text", "rating", "rating_label", "rating_scale", "confidence", "confidence_label")


class Facts(NamedTuple):
    """What a rendered row keeps of a response's score."""

    checkmark_count: int | None = None
    checkmark_score: float | None = None


@dataclass(frozen=True)
class Draft:
    """A row before its tokens are counted: one response for SFT, chosen and rejected for DPO.

    Attributes:
        source: the row of chosen.parquet, or what stands for it.
    """

    source: Row
    prompt: Row
    responses: tuple[Row, ...]


@dataclass(frozen=True)
class Renderer:
    """What turns drafts into rows: the tokenizer, the words, and the budget."""

    chat: ChatTokens
    template: Template
    budget: Budget


@dataclass(frozen=True)
class Fitted:
    """A draft that fits its budget."""

    draft: Draft
    messages: list[Message]
    texts: tuple[str, ...]
    prompt_tokens: int
    prompt_tokens_cut: int
    completion_tokens: tuple[int, ...]


def score_facts(path: Path, corpus: str, ids: set[str]) -> dict[str, Facts]:
    """Return the checkmarks of some responses."""
    return {
        row["response_id"]: Facts(row["checkmark_count"], row["checkmark_score"])
        for row in raw_scores(path, corpus)
        if row["response_id"] in ids
    }


def response_ids(source: Row) -> tuple[str, ...]:
    """Return the responses of a chosen row: one, or chosen and rejected."""
    if "pair_id" in source:
        return source["chosen_id"], source["rejected_id"]
    return (source["response_id"],)


def harmless(row: Row, columns: Iterable[str], pattern: re.Pattern[str]) -> tuple[Row, int]:
    """Return a row whose texts hold no control marks, and how many there were."""
    clean, total = dict(row), 0
    for column in columns:
        if row[column] is not None:
            clean[column], count = escaped(row[column], pattern)
            total += count
    return clean, total


def read_drafts(
    sources: Sequence[Row], prompts: Path, responses: Path, pattern: re.Pattern[str], tally: Tally
) -> Iterator[Draft]:
    """Yield the draft of each chosen row, prompts in the order of their ids.

    Raises:
        WinnowError: if a row names a prompt or response that the corpus lacks.
    """
    by_prompt: dict[str, list[Row]] = {}
    for source in sources:
        by_prompt.setdefault(source["prompt_id"], []).append(source)
    wanted = {name for source in sources for name in response_ids(source)}
    groups = (
        prompts_with_responses(prompts, responses, wanted, RESPONSE_COLUMNS, PROMPT_COLUMNS) if wanted else iter(())
    )
    for raw_prompt, raw_responses in groups:
        prompt, marks = harmless(raw_prompt, ("title", "abstract", "body"), pattern)
        if marks:
            tally.note("prompts with escaped control marks")
        clean = {}
        for name, raw in raw_responses.items():
            clean[name], marks = harmless(raw, ("text", "rating_label", "confidence_label"), pattern)
            if marks:
                tally.note("responses with escaped control marks")
        for source in by_prompt.get(prompt["prompt_id"], []):
            names = response_ids(source)
            if any(name not in clean for name in names):
                raise WinnowError(responses, f"{' or '.join(names)} answers another prompt", "choose again")
            yield Draft(source, prompt, tuple(clean[name] for name in names))


def messages_of(system: str, user: str) -> list[Message]:
    """Return a prompt's messages."""
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def _fit_prompt(renderer: Renderer, prompt: Row, system: str, tokens: int) -> tuple[list[Message], int] | None:
    """Return a prompt's messages and tokens, its longest field cut where it must be; None if that is not enough."""
    template, budget = renderer.template, renderer.budget
    fields = shown_fields(prompt, budget.prompt_fields)
    if tokens <= budget.prompt_tokens:
        return messages_of(system, user_text(template, fields)), tokens
    field = cut_field(fields)

    def build(text: str) -> list[Message]:
        return messages_of(system, user_text(template, {**fields, field: text}))

    fit = cut_to_fit(renderer.chat, fields[field], build, tokens, budget.prompt_tokens)
    return None if fit is None else (build(fit[0]), fit[1])


def _fit_batch(renderer: Renderer, drafts: Sequence[Draft]) -> Iterator[Fitted | str]:
    """Yield for each draft its fitted row, or the reason why it cannot fit."""
    chat, template, budget = renderer.chat, renderer.template, renderer.budget
    texts = [tuple(response_text(template, response) for response in draft.responses) for draft in drafts]
    flat = [text for both in texts for text in both]
    lengths = iter(chat.completion_lengths(flat))
    completions = [tuple(next(lengths) for _ in both) for both in texts]
    systems = [system_text(template, draft.responses) for draft in drafts]
    # Several responses to one prompt share its tokens, which are most of the work.
    keys = [(draft.prompt["prompt_id"], system) for draft, system in zip(drafts, systems, strict=True)]
    whole = {
        key: messages_of(system, user_text(template, shown_fields(draft.prompt, budget.prompt_fields)))
        for key, draft, system in zip(keys, drafts, systems, strict=True)
    }
    tokens = dict(zip(whole, chat.prompt_lengths(list(whole.values())), strict=True))
    fits: dict[tuple[str, str], tuple[list[Message], int] | None] = {}
    for key, draft, both, counts in zip(keys, drafts, texts, completions, strict=True):
        if max(counts) > budget.response_tokens:
            yield RESPONSE_TOO_LONG
            continue
        if key not in fits:
            fits[key] = _fit_prompt(renderer, draft.prompt, key[1], tokens[key])
        fit = fits[key]
        if fit is None:
            yield PROMPT_TOO_LONG
            continue
        yield Fitted(draft, fit[0], both, fit[1], tokens[key] - fit[1], counts)


def fitted(renderer: Renderer, drafts: Iterable[Draft], tally: Tally) -> Iterator[Fitted]:
    """Yield the drafts that fit; the tally gets the others, by reason, and the prompts that were cut."""
    remaining = iter(drafts)
    while batch := list(islice(remaining, BATCH)):
        for result in _fit_batch(renderer, batch):
            tally.read += 1
            if isinstance(result, str):
                tally.drop(result)
                continue
            tally.kept += 1
            if result.prompt_tokens_cut:
                tally.note("rows whose prompt was cut to fit")
            yield result


def _assistant(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]


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
    }


def sft_row(row: Fitted, corpus: str, facts: Mapping[str, Facts]) -> Row:
    """Return a row of RENDERED_SFT."""
    (response,) = row.draft.responses
    score = facts.get(response["response_id"], Facts())
    return {
        **_common(row, corpus),
        "completion": _assistant(row.texts[0]),
        "response_id": response["response_id"],
        "completion_tokens": row.completion_tokens[0],
        "rating": response["rating"],
        "checkmark_count": score.checkmark_count,
        "checkmark_score": score.checkmark_score,
    }


def dpo_row(row: Fitted, corpus: str, facts: Mapping[str, Facts]) -> Row:
    """Return a row of RENDERED_DPO."""
    sides: Row = {}
    for side, response, text, tokens in zip(
        ("chosen", "rejected"), row.draft.responses, row.texts, row.completion_tokens, strict=True
    ):
        sides[side] = _assistant(text)
        sides[f"{side}_id"] = response["response_id"]
        sides[f"{side}_tokens"] = tokens
        sides[f"{side}_rating"] = response["rating"]
        sides[f"{side}_checkmark_count"] = facts.get(response["response_id"], Facts()).checkmark_count
    return {**_common(row, corpus), "pair_id": row.draft.source["pair_id"], **sides}
