"""A judge measured against people: for each item with a mapped aspect, does it say yes where people marked it?

The mapping is loose. People marked a review's sentences with aspects; that a review has such a sentence is
not the question that the item asks. So this is a lower bound of a kind, and a way to compare judges.
"""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from winnow.core.statistics import Totals, cluster_bootstrap
from winnow.core.tables import Row
from winnow.scoring.agreement import Table, cohen_kappa, gwet_ac1, krippendorff_alpha
from winnow.scoring.annotations import Annotations
from winnow.scoring.checklist import Checklist, Item

_WORDS = ((0.2, "hardly better than chance"), (0.4, "poor"), (0.6, "moderate"), (0.8, "good"), (1.01, "very good"))
_DRAWS = 2000
_SEED = 20180101


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
        kappas = [entry["kappa"] for entry in items if entry["kappa"] is not None]
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
            "mean_kappa": round(fmean(kappas), 6) if kappas else None,
            "in_words": in_words(kappas),
        }

    def _agreement(self, item: Item) -> dict[str, Any]:
        pairs = [
            (row["prompt"], row["answers"][item.id] == "yes", item.aspect in self._annotations.aspects[identity])
            for identity, row in sorted(self._rows.items())
            if row["answers"][item.id] is not None
        ]
        table = Table.of((judge, people) for _, judge, people in pairs)
        judge_share, people_share = table.prevalence or (None, None)
        values = {
            "judge_yes": judge_share,
            "people_marked": people_share,
            "observed_agreement": table.observed,
            "expected_agreement": table.expected,
            "kappa": cohen_kappa(table),
            "ac1": gwet_ac1(table),
            "alpha": krippendorff_alpha((judge, people) for _, judge, people in pairs),
        }
        rounded = {name: None if value is None else round(value, 6) for name, value in values.items()}
        interval = _kappa_interval(pairs) if values["kappa"] is not None else None
        return {"item": item.id, "aspect": item.aspect, "n": table.n, "kappa_interval": interval} | rounded


def _kappa_interval(pairs: list[tuple[str, bool, bool]]) -> list[float] | None:
    """Return a 95 % interval of kappa from resampling whole prompts; None where it has no meaning."""
    cells = [
        (prompt, (judge and people, judge and not people, not judge and people, 1)) for prompt, judge, people in pairs
    ]
    estimate = cluster_bootstrap(cells, _kappas, seed=_SEED, draws=_DRAWS)
    if estimate is None or estimate.interval is None or not np.isfinite(estimate.interval).all():
        return None
    return [round(bound, 6) for bound in estimate.interval]


def _kappas(totals: Totals) -> Totals:
    """Return kappa for rows of counts: both, judge only, people only, all. Shape: [draws, 4] → [draws]."""
    both, judge_only, people_only, n = totals.T
    judge, people = (both + judge_only) / n, (both + people_only) / n
    observed = 1 - (judge_only + people_only) / n
    expected = judge * people + (1 - judge) * (1 - people)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((observed - expected) / (1 - expected))


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
