"""Judged shards of all corpora to score rows: merged in order, joined with ratings and decisions, nothing lost.

Shards and responses are both ordered by response_id, so they are read side by side, a row at a time.
In memory are one fact per prompt and no text.
"""

import hashlib
import heapq
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from winnow.core.errors import WinnowError
from winnow.core.tables import Row, read_rows

_FACTS = ("response_id", "prompt_id", "rating", "rating_scale", "confidence", "author_kind")
_COPIED = ("n_tokens", "answers", "p_yes", "parse_status", "left_out", "injection_flags", "judge")
JUDGE_AGAIN = "delete the shard's file and have judge_responses write it again"


@dataclass
class _Prompt:
    year: int | None
    decision: str | None
    responses: int = 0


@dataclass(frozen=True)
class Corpus:
    """The files of one corpus.

    Attributes:
        name: its name in the study.
        judged: all shards.
        prompts: prompts.parquet.
        responses: responses.parquet.
    """

    name: str
    judged: Sequence[Path]
    prompts: Path
    responses: Path


@dataclass
class Joined:
    """What was seen while rows were joined.

    Attributes:
        judge: the judge of every row, of which there must be one only.
        rows: rows by corpus.
        unjudged: responses by corpus that no shard has; only a study with a limit may have any.
        sha256: of each corpus's judged rows in order, however many shards they came in.
    """

    checklist_sha: str
    judge: dict[str, Any] | None = None
    rows: dict[str, int] = field(default_factory=dict)
    unjudged: dict[str, int] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)

    def check(self, *, limit: int) -> None:
        """Check that as many responses were judged as should be.

        Raises:
            WinnowError: naming the corpus, and how many are missing.
        """
        for name, rows in self.rows.items():
            total = rows + self.unjudged[name]
            wanted = min(limit, total) if limit else total
            if rows != wanted:
                problem = f"{rows} of {wanted} responses to be judged are in its shards"
                raise WinnowError(f"corpus {name}", problem, "give all shards, judged with the same signal.limit")


def _shard(path: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield response_id, line and file of each row of a shard, which must be in order."""
    previous = ""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                identity = json.loads(line)["response_id"]
            except (ValueError, KeyError, TypeError) as error:
                raise WinnowError(f"{path}, line {number}", f"is not a judged row ({error!r})", JUDGE_AGAIN) from error
            if identity <= previous:
                raise WinnowError(f"{path}, line {number}", f"{identity} stands after {previous}", JUDGE_AGAIN)
            previous = identity
            yield identity, line, path


def merged_rows(shards: Sequence[Path]) -> Iterator[tuple[Row, str, Path]]:
    """Yield the rows of all shards by response_id, each with its line and file.

    Raises:
        WinnowError: where a line is no judged row, stands out of order, or a response has two rows.
    """
    previous = ("", Path())
    for identity, line, path in heapq.merge(*map(_shard, shards)):
        if identity == previous[0]:
            raise WinnowError(path, f"response {identity} is in {previous[1].name} too", JUDGE_AGAIN)
        previous = (identity, path)
        yield json.loads(line), line, path


def _of_one_judge(corpus: Corpus, joined: Joined) -> Iterator[tuple[Row, Path]]:
    """Yield the judged rows of a corpus, all of one judge and checklist."""
    digest = hashlib.sha256()
    for row, line, path in merged_rows(corpus.judged):
        if joined.judge is None:
            joined.judge = row["judge"]
        if row["judge"] != joined.judge or row["judge"]["checklist_sha"] != joined.checklist_sha:
            problem = f"response {row['response_id']} was judged by another judge or checklist"
            raise WinnowError(path, problem, JUDGE_AGAIN)
        digest.update(line.encode())
        yield row, path
    joined.sha256[corpus.name] = digest.hexdigest()


def _prompts(path: Path) -> dict[str, _Prompt]:
    return {
        r["prompt_id"]: _Prompt(r["year"], r["decision"]) for r in read_rows(path, ["prompt_id", "year", "decision"])
    }


def score_rows(corpora: Sequence[Corpus], joined: Joined, *, items: int) -> Iterator[Row]:
    """Yield the score rows of all corpora, ordered by corpus and response_id.

    `response_idx` is the place of a response among those to its prompt, from 0, ordered by response_id;
    responses that were not judged (a study with a limit) count, so that it never changes.

    Args:
        corpora: their files.
        joined: is filled in.
        items: number of items of the checklist.

    Raises:
        WinnowError: if a judged response is unknown, or rows are not of one judge.
    """
    for corpus in sorted(corpora, key=lambda one: one.name):
        prompts, judged = _prompts(corpus.prompts), _of_one_judge(corpus, joined)
        joined.rows[corpus.name] = joined.unjudged[corpus.name] = 0
        row, path = next(judged, (None, Path()))
        for facts in read_rows(corpus.responses, _FACTS):
            prompt = prompts.get(facts["prompt_id"])
            if prompt is None:
                problem = f"its prompt {facts['prompt_id']} is not in {corpus.prompts.name}"
                raise WinnowError(f"{corpus.responses}, response {facts['response_id']}", problem, "ingest again")
            index, prompt.responses = prompt.responses, prompt.responses + 1
            if row is None or row["response_id"] != facts["response_id"]:
                joined.unjudged[corpus.name] += 1
                continue
            joined.rows[corpus.name] += 1
            facts |= {"corpus": corpus.name, "response_idx": index, "year": prompt.year, "decision": prompt.decision}
            yield facts | counted(row, items)
            row, path = next(judged, (None, path))
        if row is not None:
            problem = f"response {row['response_id']} is not in {corpus.responses.name}"
            raise WinnowError(path, problem, JUDGE_AGAIN)


def counted(row: Mapping[str, Any], items: int) -> Row:
    """Return the judged part of a score row. What was not answered is neither a checkmark nor a missing one."""
    answers = row["answers"]
    if len(answers) != items:
        raise WinnowError(f"response {row['response_id']}", f"has {len(answers)} answers, not {items}", JUDGE_AGAIN)
    count = sum(answer == "yes" for answer in answers.values())
    answered = sum(answer is not None for answer in answers.values())
    return {column: row[column] for column in _COPIED} | {
        "checkmark_count": count,
        "checkmark_max": answered,
        "checkmark_score": round(count / answered, 6) if answered else None,
        "answered_share": round(answered / items, 6),
    }
