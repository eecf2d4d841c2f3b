"""A judge held against itself and against another one, on a sample of the responses that it judged.

Four kinds of batch judge the sample once more: `retest` alike, `reordered` with questions or answers in another order,
`injected` with an instruction to the judge planted in each text, `second` by another judge. Their rows are
joined with the main judge's by response_id. An answer that is missing on either side is neither agreement nor
disagreement; how many are missing is said beside.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from winnow.core.config.signals import Reliability
from winnow.core.errors import WinnowError
from winnow.core.ids import canonical_json
from winnow.core.tables import Row
from winnow.scoring.agreement import Pair, as_bool, coefficients, flip_rate, mean_kappa
from winnow.scoring.checklist import Checklist
from winnow.scoring.gather import JUDGE_AGAIN, merged_rows

Kind = Literal["retest", "reordered", "injected", "second"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_SAME = ("model", "revision", "prompt_sha", "mode", "checklist_sha")  # of the main judge and of its tests
_VARIANTS = {"retest": "retest", "reordered": "reordered"}  # a copy of the judged rows would agree with them perfectly


@dataclass(frozen=True)
class SampleBatch:
    """The files of one kind of one corpus: all shards."""

    kind: Kind
    corpus: str
    files: Sequence[Path]

    @property
    def name(self) -> str:
        """As the folder of its files is called."""
        return f"{self.kind}-{self.corpus}"


@dataclass(frozen=True)
class _Both:
    """One response as judged by the main judge and once more."""

    cluster: str
    main: Mapping[str, str | None]
    again: Mapping[str, str | None]
    injection: str | None

    def pair(self, item: str) -> Pair:
        return Pair(self.cluster, as_bool(self.main[item]), as_bool(self.again[item]))

    def pairs(self) -> list[Pair]:
        return [self.pair(item) for item in self.main]


@dataclass
class _Waiting:
    """A batch whose rows wait for those of the main judge; `rows` shrinks as they are found."""

    batch: SampleBatch
    judge: dict[str, Any]
    rows: dict[str, Row]
    sha256: str
    found: list[_Both] = field(default_factory=list)


def expected(settings: Reliability) -> set[Kind]:
    """Return the kinds of batches that a study's settings ask for, for each of its corpora."""
    checks: set[Kind] = set(settings.checks)
    second: set[Kind] = {"second"} if settings.second_judge is not None else set()
    return checks | second if settings.sample else set()


def check_batches(batches: Sequence[SampleBatch], settings: Reliability, corpora: Iterable[str]) -> None:
    """Check that the batches are those that the settings ask for.

    Raises:
        WinnowError: naming those that are missing or that nothing asks for.
    """
    wanted = {f"{kind}-{corpus}" for kind in expected(settings) for corpus in corpora}
    given = {batch.name for batch in batches}
    if given != wanted:
        problem = "; ".join(
            f"{word} {', '.join(sorted(names))}"
            for word, names in (("missing:", wanted - given), ("not asked for:", given - wanted))
            if names
        )
        raise WinnowError("--compared", problem, "give each batch of signal.reliability, and no other")


class Comparison:
    """Joins the rows of all batches with the score rows as these pass by. In memory are answers, no text."""

    def __init__(self, batches: Sequence[SampleBatch], checklist: Checklist) -> None:
        """Read the batches.

        Raises:
            WinnowError: if one is empty, is not of one judge, or has other items than the checklist.
        """
        self._items = [item.id for item in checklist.questions]
        self._waiting = [self._read(batch) for batch in sorted(batches, key=lambda one: (one.kind, one.corpus))]
        self._by_corpus: dict[str, list[_Waiting]] = {}
        for waiting in self._waiting:
            self._by_corpus.setdefault(waiting.batch.corpus, []).append(waiting)

    def _read(self, batch: SampleBatch) -> _Waiting:
        rows, judge, digest = {}, None, hashlib.sha256()
        for row, line, path in merged_rows(batch.files):
            place = f"{path}, response {row['response_id']}"
            judge = judge or row["judge"]
            if row["judge"] != judge:
                raise WinnowError(place, "was judged by another judge than the rows before it", JUDGE_AGAIN)
            if row["answers"].keys() != set(self._items):
                raise WinnowError(place, "has answers to other items than those of the checklist", JUDGE_AGAIN)
            if batch.kind == "injected" and not row.get("injection"):
                raise WinnowError(place, "does not say what was planted in it (injection)", JUDGE_AGAIN)
            digest.update(line.encode())
            rows[row["response_id"]] = {"answers": row["answers"], "injection": row.get("injection"), "path": path}
        if judge is None:
            problem = f"batch {batch.name} has no row"
            fix = "delete its files and judge again; if the corpus has no responses, set signal.reliability.sample to 0"
            raise WinnowError(", ".join(map(str, batch.files)), problem, fix)
        return _Waiting(batch, judge, rows, digest.hexdigest())

    @property
    def sha256(self) -> dict[str, str]:
        """Of each batch's rows in order, however many shards they came in."""
        return {waiting.batch.name: waiting.sha256 for waiting in self._waiting}

    def add(self, row: Row) -> None:
        """Join a score row with what was judged once more of the same response."""
        for waiting in self._by_corpus.get(row["corpus"], ()):
            if (again := waiting.rows.pop(row["response_id"], None)) is not None:
                # Prompts of two corpora are not one, even if they have one id.
                cluster = f"{row['corpus']}\x1f{row['prompt_id']}"
                waiting.found.append(_Both(cluster, row["answers"], again["answers"], again["injection"]))

    def check(self, judge: Mapping[str, Any] | None, rows: Mapping[str, int], sample: int) -> None:
        """Check, after the last score row, that each batch is what it is called.

        Args:
            judge: of the score rows; None where there are none.
            rows: how many score rows each corpus has.
            sample: how many responses of each corpus were to be judged again.

        Raises:
            WinnowError: if a row has no score row, rows are missing, or the judge is not the right one.
        """
        for waiting in self._waiting:
            batch = waiting.batch
            for identity, row in waiting.rows.items():
                problem = f"is in batch {batch.name}, and the judge's own rows do not have it"
                raise WinnowError(f"{row['path']}, response {identity}", problem, JUDGE_AGAIN)
            wanted = min(sample, rows[batch.corpus])
            if len(waiting.found) != wanted:
                problem = f"{len(waiting.found)} of {wanted} responses of the sample are in its files"
                raise WinnowError(f"batch {batch.name}", problem, "give all shards, or judge them again")
            if judge is not None:
                _check_judge(batch, waiting.judge, judge)
        for kind in KINDS:
            if len({canonical_json(one.judge) for one in self._waiting if one.batch.kind == kind}) > 1:
                raise WinnowError(f"batches {kind}-*", "are of several judges", JUDGE_AGAIN)

    def report(self) -> dict[str, Any]:
        """Return the block of each kind, over all corpora; None for a kind that was not judged."""
        return {kind: self._block(kind) for kind in KINDS}

    def _block(self, kind: Kind) -> dict[str, Any] | None:
        of_kind = [waiting for waiting in self._waiting if waiting.batch.kind == kind]
        if not of_kind:
            return None
        found = [both for waiting in of_kind for both in waiting.found]
        block = {
            "judge": of_kind[0].judge,
            "responses": len(found),
            "prompts": len({both.cluster for both in found}),
            "flips": flip_rate(pair for both in found for pair in both.pairs()),
            "nulls": _nulls(found, len(self._items)),
        }
        if kind == "injected":
            return block | _directions(found) | {"by_injection": _by_injection(found)}
        name = "second_yes" if kind == "second" else "again_yes"
        items = [
            {"item": item} | coefficients((both.pair(item) for both in found), "judge_yes", name)
            for item in self._items
        ]
        return block | {"items": items, "mean_kappa": mean_kappa(items)}


def _check_judge(batch: SampleBatch, judge: Mapping[str, Any], main: Mapping[str, Any]) -> None:
    if batch.kind == "second":
        if judge["checklist_sha"] != main["checklist_sha"]:
            raise WinnowError(f"batch {batch.name}", "was judged by another checklist", JUDGE_AGAIN)
        if all(judge[key] == main[key] for key in ("model", "revision")):
            problem = f"is of the main judge itself, {main['model']} {main['revision']}"
            raise WinnowError(f"batch {batch.name}", problem, "name another model as signal.reliability.second_judge")
        return
    if differing := [f"{key} {judge[key]}, not {main[key]}" for key in _SAME if judge[key] != main[key]]:
        problem = f"is of another judge than the scores: {'; '.join(differing)}"
        raise WinnowError(f"batch {batch.name}", problem, JUDGE_AGAIN)
    if judge["variant"] != (variant := _VARIANTS.get(batch.kind, main["variant"])):
        problem = f"was judged as variant {judge['variant']!r}, not {variant!r}"
        raise WinnowError(f"batch {batch.name}", problem, "give the rows that were judged for this test")


def _nulls(found: Sequence[_Both], items: int) -> dict[str, Any]:
    """Return how many answers are missing on either side, of all that were asked for."""
    asked = len(found) * items
    main = sum(answer is None for both in found for answer in both.main.values())
    again = sum(answer is None for both in found for answer in both.again.values())
    return {
        "asked": asked,
        "judge": main,
        "again": again,
        "judge_rate": round(main / asked, 6) if asked else None,
        "again_rate": round(again / asked, 6) if asked else None,
    }


def _directions(found: Iterable[_Both]) -> dict[str, Any]:
    """Return the flips towards yes among answers that were no, and towards no among those that were yes."""
    pairs = [pair for both in found for pair in both.pairs()]
    return {
        "to_yes": flip_rate(pair for pair in pairs if pair.first is False),
        "to_no": flip_rate(pair for pair in pairs if pair.first is True),
    }


def _by_injection(found: Sequence[_Both]) -> list[dict[str, Any]]:
    by_id: dict[str, list[_Both]] = {}
    for both in found:
        by_id.setdefault(str(both.injection), []).append(both)
    return [
        {"injection": name, "responses": len(own), "flips": flip_rate(pair for both in own for pair in both.pairs())}
        | _directions(own)
        for name, own in sorted(by_id.items())
    ]
