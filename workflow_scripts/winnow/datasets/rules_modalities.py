"""Rules on which rows a modality has: every chosen row is rendered or left out for a true reason, alike in all.

Each modality's validation proves that its own left_out.parquet is true, from source and with its own tokenizer
and images. So together the reports prove that a row which fits here and is absent fits somewhere else not.
"""

from collections import Counter

from winnow.core.manifest import Tally
from winnow.core.tables import Row, read_rows
from winnow.datasets.align import left_out_elsewhere
from winnow.datasets.checks import Check
from winnow.datasets.drafts import read_drafts, response_ids
from winnow.datasets.evidence import Evidence
from winnow.datasets.fitting import LeftOut, outcomes
from winnow.datasets.text import control_pattern


def _reasons(evidence: Evidence, rows: list[Row]) -> dict[str, str]:
    """Return id → why this modality cannot show a row, for those that it cannot; recomputed from source."""
    whole = []
    for row in rows:
        sources = [evidence.scored.get(name) for name in response_ids(row)]
        if all(source is not None and source.prompt_id == row["prompt_id"] for source in sources):
            whole.append(row)
    pattern = control_pattern(evidence.renderer.chat.added_tokens)
    drafts = read_drafts(whole, evidence.paths.prompts, evidence.paths.responses, pattern, Tally())
    results = outcomes(evidence.renderer, drafts)
    return {result.draft.id: result.reason for result in results if isinstance(result, LeftOut)}


def ids_complete(evidence: Evidence, check: Check) -> None:
    """C10: each chosen row is rendered once, or left out for the reason that is given; nothing else is rendered."""
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
    absent = sorted(expected.keys() - seen.keys())
    reasons = _reasons(evidence, [expected[name] for name in absent]) if absent else {}
    given = {row["id"]: row["reason"] for row in read_rows(evidence.paths.left_out)}
    elsewhere = left_out_elsewhere(evidence.paths.left_out_elsewhere())
    for name in absent:
        if name in reasons:
            same = given.get(name) == reasons[name]
            check.expect(same, name, f"is left out for {given.get(name)}, recomputed {reasons[name]}")
        else:
            check.expect(name in elsewhere, name, "is chosen, fits, and is not rendered")
    for name in sorted(given.keys() - reasons.keys()):
        check.fail(name, f"is said to be left out for {given[name]}, and is rendered or fits")
    here = {name: f"left out: {reason}" for name, reason in reasons.items()}
    check.measured |= Counter((elsewhere | here).get(name, "not rendered") for name in absent)
    if not check.measured["val_rows"]:
        check.warn("val", "has no rows: training will have nothing to measure itself on")


def same_rows(evidence: Evidence, check: Check) -> None:
    """C10b: each split has the same ids, of the same prompts and responses, in every modality."""
    if not evidence.paths.modalities:
        check.not_applicable = "the study has one modality, or same_rows is false"
        return
    sides = ["response_id"] if evidence.spec.stage == "sft" else ["pair_id", "chosen_id", "rejected_id"]
    mine = {
        split: {tuple(row.values()) for row in read_rows(path, ["prompt_id", *sides])}
        for split, path in evidence.paths.rendered()
    }
    for name, path in sorted(evidence.paths.modalities.items()):
        modality, _, split = name.partition("/")
        if split in mine:
            theirs = {tuple(row.values()) for row in read_rows(path, ["prompt_id", *sides])}
            check.checked += len(mine[split] | theirs)
            for row in sorted(mine[split] ^ theirs):
                places = (split, f"not of {modality}") if row in mine[split] else (f"not {split}", f"of {modality}")
                check.fail(row[1], f"is of {places[0]} here and {places[1]}")
