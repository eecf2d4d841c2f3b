"""From chosen ids to drafts: texts are fetched late, and made harmless."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from winnow.core.errors import WinnowError
from winnow.core.manifest import Tally
from winnow.core.tables import Row
from winnow.datasets.late_text import prompts_with_responses
from winnow.datasets.text import escaped

PROMPT_COLUMNS = ("title", "abstract", "body", "decision", "year")
RESPONSE_COLUMNS = ("text", "rating", "rating_label", "rating_scale", "confidence", "confidence_label")


@dataclass(frozen=True)
class Draft:
    """A row before its tokens are counted: one response for SFT, chosen and rejected for DPO.

    Attributes:
        source: the row of chosen.parquet, or what stands for it.
    """

    source: Row
    prompt: Row
    responses: tuple[Row, ...]

    @property
    def id(self) -> str:
        """The response_id or pair_id."""
        return str(self.source.get("pair_id") or self.source["response_id"])


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
