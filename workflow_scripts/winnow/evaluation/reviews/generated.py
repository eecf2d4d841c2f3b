"""Generated reviews with all that other steps found out about them: stop reason, rating, entropy, judge's answers."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winnow.core.errors import WinnowError
from winnow.core.manifest import Tally
from winnow.core.tables import read_rows

Answers = Mapping[str, str | None]


@dataclass(frozen=True)
class Generated:
    """One generated review.

    Attributes:
        text: its body, or all of it where it could not be taken apart.
        flags: why it is not valid; empty where it is.
        mean_entropy: in nats per token; None where it was not measured.
    """

    identity: str
    run: str
    prompt_id: str
    sample: int
    decoding: str
    tokens: int
    ended: bool
    text: str
    rating: float | None
    flags: tuple[str, ...]
    mean_entropy: float | None


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def read_generated(
    responses: Path, generations: Mapping[str, Path], rows: Mapping[str, Path], tally: Tally
) -> dict[str, list[Generated]]:
    """Return the generated reviews of each run, ordered by id.

    Args:
        responses: responses.parquet of gather_generations.
        generations: generations.jsonl by run.
        rows: rows.jsonl by run; lines of kind "sample" count.
        tally: is told how many there are.

    Raises:
        WinnowError: where the first two do not hold the same responses.
    """
    columns = ["response_id", "text", "rating", "flags"]
    parsed = {row["response_id"]: row for row in read_rows(responses, columns)}
    found: dict[str, list[Generated]] = {}
    seen = set()
    for run, path in generations.items():
        entropies = {row["id"]: row["mean_entropy"] for row in _lines(rows[run]) if row["kind"] == "sample"}
        found[run] = []
        for line in _lines(path):
            seen.add(line["id"])
            tally.read += 1
            tally.kept += 1
            if (row := parsed.get(line["id"])) is None:
                raise WinnowError(responses, f"lacks {line['id']} of {path}", "have gather_generations write it again")
            found[run].append(
                Generated(
                    identity=line["id"],
                    run=run,
                    prompt_id=line["prompt_id"],
                    sample=line["sample"],
                    decoding=line["decoding"],
                    tokens=line["tokens"],
                    ended=line["stop_reason"] == "stop",
                    text=row["text"] or "",
                    rating=row["rating"],
                    flags=tuple(row["flags"] or ()),
                    mean_entropy=entropies.get(line["id"]),
                )
            )
        found[run].sort(key=lambda one: one.identity)
    if extra := sorted(parsed.keys() - seen):
        problem = f"has {len(extra)} responses that no run generated, {extra[0]} among them"
        raise WinnowError(responses, problem, "have gather_generations write it again")
    return found


def read_answers(paths: Iterable[Path], wanted: Collection[str]) -> dict[str, Answers]:
    """Return a judge's answers by response_id, from judged shards or score rows, for the responses that are wanted."""
    wanted = set(wanted)
    return {
        row["response_id"]: row["answers"] for path in paths for row in _lines(path) if row["response_id"] in wanted
    }


def pass_rate(answers: Answers | None) -> float | None:
    """Return the share of answered items that were answered with yes; None where none was, or nobody was asked.

    What was not answered is neither a checkmark nor a missing one, as in score rows.
    """
    given = [answer for answer in (answers or {}).values() if answer is not None]
    return sum(answer == "yes" for answer in given) / len(given) if given else None
