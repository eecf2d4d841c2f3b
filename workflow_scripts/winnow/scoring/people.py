"""A judge measured against people: for each item with a mapped aspect, does it say yes where people marked it?

The mapping is loose. People marked a review's sentences with aspects; that a review has such a sentence is
not the question that the item asks. So this is a lower bound of a kind, and a way to compare judges.
"""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from winnow.core.tables import Row
from winnow.scoring.agreement import Pair, as_bool, coefficients, known_kappas, mean_kappa
from winnow.scoring.annotations import Annotations
from winnow.scoring.checklist import Checklist, Item

_WORDS = ((0.2, "hardly better than chance"), (0.4, "poor"), (0.6, "moderate"), (0.8, "good"), (1.01, "very good"))


class People:
    """Collects the answers to reviews that people annotated, and compares them."""

    def __init__(self, file: Path, annotations: Annotations, checklist: Checklist) -> None:
        self._file = file.name
        self._annotations = annotations
        self._items = [item for item in checklist.questions if item.aspect is not None]
        self._rows: dict[str, Mapping[str, Any]] = {}

    def add(self, row: Row) -> None:
        """Note a score row if people annotated the review."""
        if row["response_id"] in self._annotations.aspects:
            self._rows[row["response_id"]] = {"prompt": row["prompt_id"], "answers": row["answers"]}

    def report(self) -> dict[str, Any]:
        """Return the agreement per item, with n and the shares of yes on both sides."""
        found = self._annotations
        items = [self._agreement(item) for item in self._items]
        return {
            "file": self._file,
            "annotated_reviews": len(found.aspects),
            "annotated_without_tags": found.without_tags,
            "judged_and_annotated": len(self._rows),
            "annotated_not_judged": len(found.aspects) - len(self._rows),
            "tags": dict(sorted(found.tags.items())),
            "unreadable_tags": dict(sorted(found.unreadable.items())),
            "mapping": "item says yes, against: people marked at least one sentence with the item's aspect",
            "items": items,
            "mean_kappa": mean_kappa(items),
            "in_words": in_words(known_kappas(items)),
        }

    def _agreement(self, item: Item) -> dict[str, Any]:
        pairs = [
            Pair(row["prompt"], as_bool(row["answers"][item.id]), item.aspect in self._annotations.aspects[identity])
            for identity, row in sorted(self._rows.items())
        ]
        return {"item": item.id, "aspect": item.aspect} | coefficients(pairs, "judge_yes", "people_marked")


def in_words(kappas: list[float]) -> str:
    """Say plainly what the kappas amount to."""
    if not kappas:
        return "no item could be compared with people"
    mean = fmean(kappas)
    word = next(word for bound, word in _WORDS if mean < bound)
    return (
        f"agreement with people is {word}: mean kappa {mean:.2f} over {len(kappas)} items, "
        f"from {min(kappas):.2f} to {max(kappas):.2f}"
    )
