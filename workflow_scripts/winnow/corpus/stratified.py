"""Splits in which every label has its exact share: whole groups, ranked by hash within each label."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from winnow.core.config.corpora import Splits
from winnow.core.errors import WinnowError
from winnow.core.ids import unit_interval
from winnow.core.tables import read_rows
from winnow.corpus.duplicates import Groups

Split = Literal["train", "val", "test"]
SPLIT_NAMES: tuple[Split, ...] = ("train", "val", "test")

LabelCounts = Mapping[str, Mapping[str, int]]  # group id → label → prompts


def labels_of_groups(prompts: Path, groups: Groups) -> LabelCounts:
    """Return how many prompts of each label every group has.

    Raises:
        WinnowError: if a prompt has no label: it would belong to no share.
    """
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in read_rows(prompts, ["prompt_id", "label"]):
        if row["label"] is None:
            problem = f"prompt {row['prompt_id']!r} has no label, and splits.stratify is label"
            raise WinnowError(prompts, problem, "give every prompt a label, or set splits.stratify to null")
        found[groups.name(row["prompt_id"])][row["label"]] += 1
    return found


def place_groups(groups: LabelCounts, splits: Splits) -> tuple[dict[str, Split], dict[str, Any]]:
    """Return the split of every group, and of each label the prompts wanted and taken.

    Of every label `test` and then `val` get the rounded share of its prompts; the rest is train. Labels go from the
    rarest to the commonest, since a group of several labels fills the share of the rarer one first; within a label,
    groups go by the hash of their ids. A group that has more prompts of any label than are still wanted is passed over
    for the next, so that a share is short only where no group is left that fits.

    Source: the order of labels follows Sechidis et al. 2011, On the Stratification of Multi-Label Data.
    """
    totals: Counter[str] = Counter()
    for counts in groups.values():
        totals.update(counts)
    order = sorted(totals, key=lambda label: (totals[label], label))
    ranked = sorted(groups, key=lambda group_id: (unit_interval(group_id, splits.salt), group_id))
    placed: dict[str, Split] = dict.fromkeys(groups, "train")
    wanted: dict[str, dict[str, int]] = {}
    shares: tuple[tuple[Split, float], ...] = (("test", splits.test), ("val", splits.val))
    for split, share in shares:
        wanted[split] = {label: round(share * totals[label]) for label in sorted(totals)}
        left = dict(wanted[split])
        for label in order:
            for group_id in ranked:
                counts = groups[group_id]
                fits = placed[group_id] == "train" and all(left[other] >= count for other, count in counts.items())
                if label in counts and fits:
                    placed[group_id] = split
                    for other, count in counts.items():
                        left[other] -= count
    taken: dict[Split, Counter[str]] = {split: Counter() for split in SPLIT_NAMES}
    for group_id, counts in groups.items():
        taken[placed[group_id]].update(counts)
    return placed, {
        "wanted": wanted,
        "taken": {split: {label: taken[split][label] for label in sorted(totals)} for split in SPLIT_NAMES},
    }
