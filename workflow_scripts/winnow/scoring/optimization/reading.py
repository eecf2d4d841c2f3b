"""Judged candidates joined with what they are to predict; nothing but the `optimize` part of train may occur."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from winnow.core.errors import WinnowError
from winnow.core.ids import canonical_json, content_key
from winnow.core.manifest import Tally
from winnow.core.tables import Row, read_rows
from winnow.scoring.checklist import Checklist
from winnow.scoring.judge import Answer
from winnow.scoring.optimization.matrix import Labelled, Matrix

Target = Literal["alignment", "decision", "quality"]
_JUDGE_AGAIN = "delete the shard's file and have judge_responses write it again"
_DECIDED = {"accept": True, "reject": False}


@dataclass(frozen=True)
class Files:
    """The files of one corpus.

    Attributes:
        name: its name in the study.
        judged: all shards of its candidates' batch.
        retests: all shards of a sample judged once more; may be none.
        prompts: prompts.parquet.
        responses: responses.parquet.
        splits: splits.parquet.
    """

    name: str
    judged: Sequence[Path]
    retests: Sequence[Path]
    prompts: Path
    responses: Path
    splits: Path


@dataclass
class Joined:
    """All corpora, pooled.

    Attributes:
        rows: judged responses with a label.
        repeats: pairs of judgements of one text, of all judged responses; None if nothing was judged twice.
        retested: how many responses were judged again, once or more.
        judge: that of every row.
        judged_sha: of each corpus's judged rows, whatever shards they came in.
        splits_sha: of each corpus's `optimize` part and its groups.
        tally: responses of the `optimize` parts: those used, and those not, by reason.
    """

    rows: list[Labelled] = field(default_factory=list)
    repeats: list[tuple[Mapping[str, Answer], Mapping[str, Answer]]] | None = None
    retested: int = 0
    judge: dict[str, Any] | None = None
    judged_sha: dict[str, str] = field(default_factory=dict)
    splits_sha: dict[str, str] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    def matrix(self, checklist: Checklist) -> Matrix:
        """Return what a checklist is chosen from."""
        return Matrix.of(self.rows, checklist.questions, self.repeats)


def read_labels(path: Path) -> dict[str, bool]:
    """Read people's labels: a CSV with the columns response_id and label, 0 or 1.

    Raises:
        WinnowError: naming file and line.
    """
    labels: dict[str, bool] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not {"response_id", "label"} <= set(reader.fieldnames or ()):
                raise WinnowError(path, "has no columns response_id and label", "name them in its first line")
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if row["label"] not in {"0", "1"}:
                    raise WinnowError(where, f"label is {row['label']!r}", "write 0 or 1, or leave the line out")
                if row["response_id"] in labels:
                    raise WinnowError(where, f"response {row['response_id']} occurs twice", "keep one of the lines")
                labels[row["response_id"]] = row["label"] == "1"
    except FileNotFoundError:
        raise WinnowError(path, "there is no such file", "check signal.optimize.labels") from None
    except UnicodeDecodeError as error:
        raise WinnowError(path, f"is not UTF-8 text: {error}", "save it as UTF-8") from error
    return labels


@dataclass
class _Labels:
    """Says what the label of a response is, and remembers which of people's labels were asked for."""

    target: Target
    by_people: Mapping[str, bool] | None
    asked: Counter[str] = field(default_factory=Counter)

    def of(self, facts: Row, decision: str | None) -> tuple[bool | None, str]:
        """Return the label, or None and why there is none."""
        if self.target == "quality":
            label = (self.by_people or {}).get(facts["response_id"])
            self.asked[facts["response_id"]] += label is not None
            return label, "without a label"
        accepted = _DECIDED.get(decision or "")
        if self.target == "decision" or accepted is None:
            return accepted, f"paper neither accepted nor rejected ({decision or 'no decision'})"
        place = _place_on_scale(facts["rating"], facts["rating_scale"])
        if place is None:
            return None, "without a rating on a scale"
        return (place > 0.5) == accepted, ""


def join(
    corpora: Sequence[Files], checklist: Checklist, target: Target, labels: Mapping[str, bool] | None = None
) -> Joined:
    """Pool the judged responses of all corpora with their labels.

    Targets: alignment: 1 where rated above the middle of the response's own scale (at it is not above) if and only if
    the paper was accepted; decision: 1 where it was accepted; quality: as `labels` say.

    Args:
        corpora: their files.
        checklist: the candidates.
        target: what the label is.
        labels: by response_id, for target quality.

    Raises:
        WinnowError: if a judged response is not of the `optimize` part of train, is unknown, or was judged by another
            judge or checklist; or if a label could belong to two responses.
    """
    joined, known = Joined(), _Labels(target, labels)
    for files in sorted(corpora, key=lambda one: one.name):
        _add(joined, files, checklist, known)
    if twins := sorted(name for name, times in known.asked.items() if times > 1):
        problem = f"response {twins[0]} is in several corpora, so its label could be of either"
        raise WinnowError("labels", problem, "make the ids of the corpora differ")
    if labels is not None and (unused := len(labels) - known.asked.total()):
        joined.tally.note("labels of responses that were not judged, or are not of the optimize part", unused)
    return joined


def _add(joined: Joined, files: Files, checklist: Checklist, known: _Labels) -> None:
    """Add a corpus: every response of its `optimize` part is a row, or dropped with a reason."""
    splits = {row["prompt_id"]: row for row in read_rows(files.splits)}
    decisions = {row["prompt_id"]: row["decision"] for row in read_rows(files.prompts, ["prompt_id", "decision"])}
    judged = _judged(files.judged, checklist, splits)
    _one_judge(joined, files, judged)
    joined.judged_sha[files.name] = content_key(canonical_json(judged[name]) for name in sorted(judged))
    part = sorted((name, row["group_id"]) for name, row in splits.items() if _may_be_used(row))
    joined.splits_sha[files.name] = content_key([canonical_json(part)])
    unseen = set(judged)
    for facts in read_rows(files.responses, ["response_id", "prompt_id", "rating", "rating_scale"]):
        name, prompt = facts["response_id"], facts["prompt_id"]
        if prompt not in splits or not _may_be_used(splits[prompt]):
            continue
        joined.tally.read += 1
        row = judged.get(name)
        if row is None:
            joined.tally.drop("not judged by the candidates")
            continue
        if row["prompt_id"] == prompt:
            unseen.discard(name)
        label, reason = known.of(facts, decisions.get(prompt))
        if label is None:
            joined.tally.drop(reason)
            continue
        joined.tally.kept += 1
        joined.rows.append(
            Labelled(
                id=f"{files.name}/{name}",
                paper=f"{files.name}/{prompt}",
                group=f"{files.name}/{splits[prompt]['group_id']}",
                label=label,
                answers=row["answers"],
                tokens=row["n_tokens"],
                rating=_place_on_scale(facts["rating"], facts["rating_scale"]),
            )
        )
    if unseen:
        problem = f"judged response {min(unseen)} is not in {files.responses.name}, or answers another prompt there"
        raise WinnowError(f"corpus {files.name}", problem, _JUDGE_AGAIN)
    if files.retests:
        variants = _by_variant(files.retests)
        _add_repeats(joined, files, judged, [_judged(paths, checklist, splits) for paths in variants])


def _by_variant(shards: Iterable[Path]) -> list[list[Path]]:
    """Return the shards of each retest; the rows of a shard are all of one."""
    variants: dict[str, list[Path]] = {}
    for path in sorted(shards):
        variant = next((row["judge"].get("variant", "") for _, row in _lines([path])), "")
        variants.setdefault(variant, []).append(path)
    return [variants[variant] for variant in sorted(variants)]


def _add_repeats(joined: Joined, files: Files, judged: Mapping[str, Row], retests: Sequence[Mapping[str, Row]]) -> None:
    """Add all pairs of judgements of one text, of one judge: three with two retests."""
    for again in retests:
        if unknown := sorted(again.keys() - judged.keys()):
            problem = f"response {unknown[0]} was judged again, but not before"
            raise WinnowError(f"corpus {files.name}", problem, "give all shards of both batches")
        for name, row in again.items():
            if any(row["judge"].get(key) != judged[name]["judge"].get(key) for key in ("model", "revision")):
                problem = f"response {name} was judged again by another judge, so it tells nothing of this one"
                raise WinnowError(f"corpus {files.name}", problem, _JUDGE_AGAIN)
    joined.retested += len(set().union(*retests))
    joined.repeats = joined.repeats or []
    for first, second in combinations([judged, *retests], 2):
        names = [name for name in first if name in second]
        joined.repeats += [(first[name]["answers"], second[name]["answers"]) for name in names]


def _one_judge(joined: Joined, files: Files, judged: Mapping[str, Row]) -> None:
    """Check that all rows, of all corpora, are of one judge."""
    for name, row in judged.items():
        joined.judge = joined.judge or row["judge"]
        if row["judge"] != joined.judge:
            problem = f"response {name} was judged by another judge than others"
            raise WinnowError(f"corpus {files.name}", problem, _JUDGE_AGAIN)


def _judged(shards: Iterable[Path], checklist: Checklist, splits: Mapping[str, Row]) -> dict[str, Row]:
    """Return the judged rows of a corpus by response_id, all by these candidates and of the `optimize` part."""
    found: dict[str, Row] = {}
    items = {item.id for item in checklist.questions}
    for where, row in _lines(shards):
        name = row["response_id"]
        if name in found:
            raise WinnowError(where, f"response {name} occurs twice", _JUDGE_AGAIN)
        if row["judge"]["checklist_sha"] != checklist.sha256 or row["answers"].keys() != items:
            raise WinnowError(where, f"response {name} was judged by another checklist", _JUDGE_AGAIN)
        split = splits.get(row["prompt_id"])
        if split is None or not _may_be_used(split):
            place = "in no split" if split is None else f"in {split['split']}, optimize {split['optimize']}"
            problem = f"response {name} answers prompt {row['prompt_id']}, which is {place}"
            fix = "a checklist may only be chosen on prompts of split train with optimize true; judge those alone"
            raise WinnowError(where, problem, fix)
        found[name] = row
    return found


def _lines(shards: Iterable[Path]) -> Iterator[tuple[str, Row]]:
    for path in sorted(shards):
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                where = f"{path}, line {number}"
                try:
                    row = json.loads(line)
                    row["response_id"], row["prompt_id"], row["answers"].keys(), row["judge"]["checklist_sha"]
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise WinnowError(where, f"is not a judged row ({error!r})", _JUDGE_AGAIN) from error
                yield where, row


def _may_be_used(split: Row) -> bool:
    return bool(split["split"] == "train" and split["optimize"])


def _place_on_scale(rating: float | None, scale: Sequence[float] | None) -> float | None:
    """Return a rating from 0 to 1 between the ends of its scale; None where either is missing."""
    if rating is None or not scale or min(scale) == max(scale):
        return None
    return float((rating - min(scale)) / (max(scale) - min(scale)))
