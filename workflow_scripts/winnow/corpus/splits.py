"""Which prompts are alike, and which split each group of them is in: by hash, before anything is scored."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from winnow.core.config.corpora import Splits
from winnow.core.ids import sha256_text, unit_interval
from winnow.core.log import Progress
from winnow.core.tables import SPLITS, count_rows, read_rows, write_table
from winnow.corpus.duplicates import MIN_WORDS, Groups, normalised
from winnow.corpus.similar import SimilarTexts
from winnow.corpus.stratified import SPLIT_NAMES, Split, labels_of_groups, place_groups

# A title that more prompts share than any paper has versions is a category, and groups nothing.
_TITLE_PROMPTS = 5
_TITLE_CHARS = 12  # below this, equal titles are chance
_TEXTS = ("title", "abstract", "body")


def draw(group_id: str, splits: Splits) -> Split:
    """Return a group's split where nothing but its hash decides."""
    place = unit_interval(group_id, splits.salt)
    if place < splits.test:
        return "test"
    return "val" if place < splits.test + splits.val else "train"


def may_optimize(group_id: str, splits: Splits) -> bool:
    """Return whether a group of train is in the part on which a checklist may be chosen."""
    return unit_interval(group_id, f"{splits.salt}/optimize") < splits.optimize


def _digest(text: str) -> bytes:
    return bytes.fromhex(sha256_text(text))[:16]


def group_prompts(
    prompts: Path, threshold: float, folder: Path, min_words: int = MIN_WORDS
) -> tuple[Groups, dict[str, int]]:
    """Put prompts that name one group, or have equal texts, equal titles or similar texts, into groups.

    Args:
        prompts: a table of prompts, ordered by id.
        threshold: the least Jaccard similarity of word triples at which two prompts are alike.
        folder: where a temporary file may be.
        min_words: shorter texts are alike only if they are equal.

    Returns:
        The groups, and how many joins each rule made.
    """
    groups, similar = Groups(), SimilarTexts(folder, min_words)
    by_text: dict[bytes, str] = {}
    by_group: dict[str, str] = {}
    by_title: dict[bytes, str] = {}
    shared: dict[str, list[str]] = {}  # first prompt of a title that several share → the others
    joins = {"named group": 0, "equal text": 0, "equal title": 0, "similar text": 0, "titles too common to be names": 0}
    progress = Progress("prompts compared", count_rows(prompts))
    for row in read_rows(prompts, ["prompt_id", "group", *_TEXTS]):
        progress.step()
        identity, title = row["prompt_id"], normalised(row["title"] or "")
        text = normalised("\n\n".join(row[column] for column in _TEXTS if row[column]))
        groups.add(identity)
        if row["group"] is not None:
            joins["named group"] += groups.join(by_group.setdefault(row["group"], identity), identity)
        twin = by_text.setdefault(_digest(text), identity)
        if twin == identity:
            similar.add(identity, text)
        joins["equal text"] += groups.join(twin, identity)
        if len(title) >= _TITLE_CHARS:
            first = by_title.setdefault(_digest(title), identity)
            if first != identity:
                shared.setdefault(first, []).append(identity)
    for first, others in shared.items():
        if len(others) >= _TITLE_PROMPTS:
            joins["titles too common to be names"] += 1
            continue
        joins["equal title"] += sum(groups.join(first, other) for other in others)
    for one, other in similar.pairs(threshold, groups.are_apart):
        joins["similar text"] += groups.join(one, other)
    return groups, joins


def split_prompts(
    prompts: Path, splits: Splits, threshold: float, out: Path, min_words: int = MIN_WORDS
) -> dict[str, Any]:
    """Write the split of every prompt: whole groups, drawn by hash, or ranked by it within each label.

    Returns:
        Counts for the manifest: prompts, groups and shares by split, joins by rule, the largest group; of each label
        the prompts wanted and taken, null where nothing is stratified.

    Raises:
        WinnowError: if prompts are to be stratified and one has no label.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    groups, joins = group_prompts(prompts, threshold, out.parent, min_words)
    split_of: Callable[[str], Split] = partial(draw, splits=splits)
    labels = None
    if splits.stratify is not None:
        placed, labels = place_groups(labels_of_groups(prompts, groups), splits)
        split_of = placed.__getitem__
    sizes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    optimize = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal optimize
        for row in read_rows(prompts, ["prompt_id"]):
            group_id = groups.name(row["prompt_id"])
            split = split_of(group_id)
            optimized = split == "train" and may_optimize(group_id, splits)
            sizes[group_id] += 1
            counts[split] += 1
            optimize += optimized
            yield {"prompt_id": row["prompt_id"], "split": split, "optimize": optimized, "group_id": group_id}

    total = write_table(out, rows(), SPLITS, ["prompt_id"])
    return {
        "prompts": {"read": total, "kept": total, "dropped": {}, "notes": {}},
        "splits": {split: {"prompts": counts[split], "share": _share(counts[split], total)} for split in SPLIT_NAMES},
        "labels": labels,
        "optimize": {"prompts": optimize, "share_of_train": _share(optimize, counts["train"])},
        "groups": len(sizes),
        "prompts_in_groups_of_several": sum(size for size in sizes.values() if size > 1),
        "largest_group": max(sizes.values(), default=0),
        "joins": joins,
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
