"""Which prompts are alike, and which split each group of them is in: by hash, before anything is scored."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.dataset as ds

from winnow.core.config import Splits
from winnow.core.ids import sha256_text, unit_interval
from winnow.core.log import Progress, log
from winnow.core.tables import SPLITS, read_rows, write_table
from winnow.corpus.duplicates import MIN_SHINGLES, Groups, Hashes, band_keys, jaccard, normalised, proposals, shingles

Split = Literal["train", "val", "test"]
SPLIT_NAMES: tuple[Split, ...] = ("train", "val", "test")

# A title that more prompts share than any paper has versions is a category, and groups nothing.
_TITLE_PROMPTS = 5
_TITLE_CHARS = 12  # below this, equal titles are chance
_COLUMNS = ["prompt_id", "title", "abstract", "body"]
_PAIRS_AT_ONCE = 4_000  # proposals whose texts are in memory together


def draw(group_id: str, splits: Splits) -> tuple[Split, bool]:
    """Return a group's split, and whether it is in the part of train on which a checklist may be chosen."""
    place = unit_interval(group_id, splits.salt)
    if place < splits.test:
        return "test", False
    if place < splits.test + splits.val:
        return "val", False
    return "train", unit_interval(group_id, f"{splits.salt}/optimize") < splits.optimize


def _text(row: dict[str, Any]) -> str:
    return "\n\n".join(row[field] for field in _COLUMNS[1:] if row[field])


class _Sketches:
    """What is remembered of each prompt, in the order of ids: hashes of text and title, and MinHash keys."""

    def __init__(self, prompts: Path) -> None:
        self.ids: list[str] = []
        self.by_text: dict[bytes, list[int]] = defaultdict(list)
        self.by_title: dict[bytes, list[int]] = defaultdict(list)
        self.sketched: list[int] = []  # which prompts have keys: those long enough, one of each text
        keys: list[Hashes] = []
        progress = Progress("prompts sketched")
        for index, row in enumerate(read_rows(prompts, _COLUMNS)):
            progress.step()
            self.ids.append(row["prompt_id"])
            text, title = normalised(_text(row)), normalised(row["title"] or "")
            twins = self.by_text[_digest(text)]
            twins.append(index)
            if len(title) >= _TITLE_CHARS:
                self.by_title[_digest(title)].append(index)
            if len(twins) == 1 and len(hashes := shingles(text)) >= MIN_SHINGLES:
                self.sketched.append(index)
                keys.append(band_keys(hashes))
        self.keys: Hashes = np.stack(keys) if keys else np.empty((0, 1), dtype=np.uint64)


def _digest(text: str) -> bytes:
    return bytes.fromhex(sha256_text(text))[:16]


def group_prompts(prompts: Path, threshold: float) -> tuple[Groups, dict[str, int]]:
    """Put prompts with equal texts, equal titles or similar texts into groups.

    Memory holds ids, hashes and 16 numbers for each prompt; where two must be compared, texts are read again.

    Args:
        prompts: a table of prompts, ordered by id.
        threshold: the least Jaccard similarity of word triples at which two prompts are alike.

    Returns:
        The groups, and how many joins each rule made.
    """
    sketches = _Sketches(prompts)
    groups, ids = Groups(sketches.ids), sketches.ids
    joins = {"equal text": 0, "equal title": 0, "similar text": 0, "titles too common to be names": 0}
    for twins in sketches.by_text.values():
        joins["equal text"] += sum(groups.join(ids[twins[0]], ids[twin]) for twin in twins[1:])
    for twins in sketches.by_title.values():
        if len(twins) > _TITLE_PROMPTS:
            joins["titles too common to be names"] += 1
        else:
            joins["equal title"] += sum(groups.join(ids[twins[0]], ids[twin]) for twin in twins[1:])
    pairs = sorted({(sketches.sketched[one], sketches.sketched[other]) for one, other in proposals(sketches.keys)})
    log(f"{len(ids):,} prompts, {len(pairs):,} pairs to compare")
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        named = [(ids[one], ids[other]) for one, other in pairs[start : start + _PAIRS_AT_ONCE]]
        joins["similar text"] += _join_similar(prompts, groups, named, threshold)
    return groups, joins


def _join_similar(prompts: Path, groups: Groups, pairs: list[tuple[str, str]], threshold: float) -> int:
    """Join the pairs that are alike and not together yet, and return how many."""
    pairs = [(one, other) for one, other in pairs if groups.name(one) != groups.name(other)]
    wanted = {identity for pair in pairs for identity in pair}
    found = {row["prompt_id"]: shingles(_text(row)) for row in _rows_of(prompts, wanted)}
    return sum(groups.join(one, other) for one, other in pairs if jaccard(found[one], found[other]) >= threshold)


def _rows_of(prompts: Path, wanted: set[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows with these ids; row groups without any of them are skipped."""
    table = ds.dataset(prompts, format="parquet")
    for batch in (
        table.to_batches(columns=_COLUMNS, filter=ds.field("prompt_id").isin(sorted(wanted))) if wanted else ()
    ):
        yield from batch.to_pylist()


def split_prompts(prompts: Path, splits: Splits, threshold: float, out: Path) -> dict[str, Any]:
    """Write the split of every prompt: whole groups, drawn by hash.

    Returns:
        Counts for the manifest: prompts, groups and shares by split, joins by rule, the largest group.
    """
    groups, joins = group_prompts(prompts, threshold)
    sizes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    optimize = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal optimize
        for row in read_rows(prompts, ["prompt_id"]):
            group_id = groups.name(row["prompt_id"])
            split, optimized = draw(group_id, splits)
            sizes[group_id] += 1
            counts[split] += 1
            optimize += optimized
            yield {"prompt_id": row["prompt_id"], "split": split, "optimize": optimized, "group_id": group_id}

    total = write_table(out, rows(), SPLITS, ["prompt_id"])
    return {
        "prompts": {"read": total, "kept": total, "dropped": {}, "notes": {}},
        "splits": {split: {"prompts": counts[split], "share": _share(counts[split], total)} for split in SPLIT_NAMES},
        "optimize": {"prompts": optimize, "share_of_train": _share(optimize, counts["train"])},
        "groups": len(sizes),
        "prompts_in_groups_of_several": sum(size for size in sizes.values() if size > 1),
        "largest_group": max(sizes.values(), default=0),
        "joins": joins,
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
