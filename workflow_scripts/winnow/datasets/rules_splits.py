"""Rules on who may be where: one split per prompt, and nothing held out is used."""

from collections import Counter, defaultdict

from winnow.core.tables import read_rows
from winnow.datasets.checks import Check
from winnow.datasets.drafts import response_ids
from winnow.datasets.evidence import Evidence


def prompt_in_one_split(evidence: Evidence, check: Check) -> None:
    """C2: a prompt, and a group of near-duplicates, lies in one split, and rows lie where their prompt does."""
    groups: dict[str, set[str]] = defaultdict(set)
    counts: Counter[str] = Counter()
    for prompt_id, rows in evidence.split_rows.items():
        check.expect(len(rows) == 1, prompt_id, f"has {len(rows)} rows in the splits table")
        counts[rows[0].split] += 1
        for row in rows:
            groups[row.group_id].add(row.split)
    for group_id, splits in groups.items():
        check.expect(len(splits) == 1, group_id, f"near-duplicate prompts lie in {', '.join(sorted(splits))}")
    named: dict[str, set[str]] = defaultdict(set)
    for prompt_id, group in evidence.named_groups.items():
        named[group].update(row.split for row in evidence.split_rows.get(prompt_id, ()))
    for group, splits in named.items():
        check.expect(len(splits) <= 1, group, f"prompts of one group lie in {', '.join(sorted(splits))}")
    for split, path in evidence.paths.rendered():
        for rendered in read_rows(path, [evidence.key, "prompt_id", "split"]):
            true = evidence.split_of(rendered["prompt_id"])
            where = f"is in {split}, says {rendered['split']}, its prompt is in {true}"
            check.expect(split == rendered["split"] == true, rendered[evidence.key], where)
    check.measured |= {f"{split}_prompts": counts[split] for split in ("train", "val", "test")}
    if evidence.spec.splits.test and not counts["test"]:
        check.warn("splits", "no prompt is held out although splits.test is above 0")


def held_out_untouched(evidence: Evidence, check: Check) -> None:
    """C3: held-out prompts are neither used nor did they help to choose a checklist; no other dataset trains on val."""
    for prompt_id, rows in evidence.split_rows.items():
        for split in rows:
            check.expect(
                not split.optimize or split.split == "train", prompt_id, f"is in optimize and in {split.split}"
            )
    mine: dict[str, set[str]] = {"train": set(), "val": set()}
    for row in evidence.chosen:
        true = evidence.split_of(row["prompt_id"])
        what = f"is chosen for {row['split']}, its prompt is in {true}"
        check.expect(true in mine and row["split"] == true, row[evidence.key], what)
        mine.setdefault(row["split"], set()).add(row["prompt_id"])
    responses = {name for row in evidence.chosen for name in response_ids(row)}
    for name, path in evidence.paths.others.items():
        theirs: set[str] = set()
        for row in read_rows(path):
            other = "val" if row["split"] == "train" else "train"
            what = f"is in {row['split']} of {name} and in {other} here"
            check.expect(row["prompt_id"] not in mine[other], row["prompt_id"], what)
            theirs.update(response_ids(row))
        check.measured[f"responses_also_in_{name}"] = len(responses & theirs)
        check.measured[f"share_also_in_{name}"] = len(responses & theirs) / len(responses) if responses else None
