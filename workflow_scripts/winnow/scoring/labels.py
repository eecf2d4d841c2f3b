"""Score rows from labels: does a response say what its prompt's label says? The rows are those of a judge's.

In memory are a few facts per prompt and no text.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from winnow.core.errors import WinnowError
from winnow.core.tables import Row, read_rows
from winnow.graders.verdicts import AGREES, agreement
from winnow.scoring.checklist import Item
from winnow.scoring.gather import counted

ITEM = Item(id=AGREES, category="label", text="Does the response say what its prompt's label says?")

_COLUMNS = ("response_id", "prompt_id", "text", "rating", "rating_scale", "confidence", "author_kind")


@dataclass(frozen=True)
class LabelledFiles:
    """The files of one corpus, and what its labels are called.

    Attributes:
        name: its name in the study.
        prompts: prompts.parquet.
        responses: responses.parquet.
        answers: label → the word for it.
    """

    name: str
    prompts: Path
    responses: Path
    answers: Mapping[str, str]


class _Prompt(NamedTuple):
    year: int | None
    decision: str | None
    label: str | None


@dataclass
class LabelCounts:
    """How often responses agree with labels: (corpus, label) → yes, no or null → responses."""

    counts: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)

    def add(self, corpus: str, label: str | None, answer: str | None) -> None:
        """Count one response."""
        self.counts.setdefault((corpus, label or "null"), Counter())[answer or "null"] += 1

    def as_list(self) -> list[dict[str, Any]]:
        """Return a line for each corpus and label."""
        return [
            {
                "corpus": corpus,
                "label": label,
                "n": found.total(),
                "yes": found["yes"],
                "no": found["no"],
                "null": found["null"],
            }
            for (corpus, label), found in sorted(self.counts.items())
        ]


def label_rows(corpora: Sequence[LabelledFiles], counts: LabelCounts) -> Iterator[Row]:
    """Yield the score rows of all corpora, ordered by corpus and response_id.

    Args:
        corpora: their files.
        counts: is filled in.

    Raises:
        WinnowError: if a response's prompt is unknown, or responses are out of order.
    """
    for corpus in sorted(corpora, key=lambda one: one.name):
        columns = ["prompt_id", "year", "decision", "label"]
        prompts = {
            row["prompt_id"]: _Prompt(row["year"], row["decision"], row["label"])
            for row in read_rows(corpus.prompts, columns)
        }
        places: Counter[str] = Counter()
        for row in read_rows(corpus.responses, _COLUMNS):
            prompt, text = prompts.get(row["prompt_id"]), row.pop("text")
            if prompt is None:
                problem = f"its prompt {row['prompt_id']} is not in {corpus.prompts.name}"
                raise WinnowError(f"{corpus.responses}, response {row['response_id']}", problem, "ingest again")
            answer = agreement(text, prompt.label, corpus.answers)
            counts.add(corpus.name, prompt.label, answer)
            facts = {"corpus": corpus.name, "response_idx": places[row["prompt_id"]]}
            places[row["prompt_id"]] += 1
            yield row | facts | {"year": prompt.year, "decision": prompt.decision} | _scored(text, answer, corpus)


def _scored(text: str, answer: str | None, corpus: LabelledFiles) -> Row:
    """Return the part of a score row that a judge would give; its tokens are words."""
    row = {
        "n_tokens": len(text.split()),
        "answers": {AGREES: answer},
        "p_yes": {AGREES: None},
        "parse_status": "failed" if answer is None else "ok",
        "left_out": 0,
        "injection_flags": [],
        "judge": {"model": "label", "answers": dict(corpus.answers)},
    }
    return counted(row, items=1)
