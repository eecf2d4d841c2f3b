"""Rules on who may be where: one split per prompt, nothing held out is used, every chosen row is rendered."""

from collections import Counter, defaultdict

from winnow.core.manifest import Tally
from winnow.core.tables import Row, read_rows
from winnow.datasets.checks import Check
from winnow.datasets.drafts import fitted, read_drafts, response_ids
from winnow.datasets.evidence import Evidence
from winnow.datasets.text import control_pattern


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


def images_match(evidence: Evidence, check: Check) -> None:
    """C6: as many images as places for them, each decodable."""
    check.not_applicable = f"modality {evidence.spec.modality} shows text alone"


def _left_out_but_fit(evidence: Evidence, rows: list[Row]) -> set[str]:
    """Return those rows that would fit the budget after all, or that are not even of one prompt."""
    whole, torn = [], set()
    for row in rows:
        sources = [evidence.scored.get(name) for name in response_ids(row)]
        if all(source is not None and source.prompt_id == row["prompt_id"] for source in sources):
            whole.append(row)
        else:
            torn.add(row[evidence.key])
    pattern = control_pattern(evidence.renderer.chat.added_tokens)
    drafts = read_drafts(whole, evidence.paths.prompts, evidence.paths.responses, pattern, Tally())
    return torn | {row.draft.source[evidence.key] for row in fitted(evidence.renderer, drafts, Tally())}


def ids_complete(evidence: Evidence, check: Check) -> None:
    """C10: each chosen row is rendered once, and nothing else; only what does not fit the budget is left out.

    All modalities render the same chosen table, and so share their ids.
    """
    expected = {row[evidence.key]: row for row in evidence.chosen}
    seen: dict[str, str] = {}
    for split, path in evidence.paths.rendered():
        for row in read_rows(path, [evidence.key]):
            name = row[evidence.key]
            check.expect(name in expected, name, f"is in {split} and was not chosen")
            check.expect(name not in seen, name, f"is in {seen.get(name)} and again in {split}")
            seen[name] = split
        check.measured[f"{split}_rows"] = sum(place == split for place in seen.values())
        check.expect(bool(check.measured[f"{split}_rows"]) or split == "val", split, "has no rows")
    left_out = [expected[name] for name in sorted(expected.keys() - seen.keys())]
    fit = _left_out_but_fit(evidence, left_out) if left_out else set()
    for row in left_out:
        check.expect(row[evidence.key] not in fit, row[evidence.key], "is chosen, fits, and is not rendered")
    check.measured["too_long_for_the_budget"] = len(left_out) - len(fit)
    if not check.measured["val_rows"]:
        check.warn("val", "has no rows: training will have nothing to measure itself on")
