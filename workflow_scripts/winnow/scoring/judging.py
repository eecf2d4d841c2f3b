"""Judging one shard: what the cache has is taken from it, the rest is judged and kept, rows come out in order."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice

from winnow.core.ids import sha256_text
from winnow.core.manifest import Tally
from winnow.core.tables import Row
from winnow.scoring.cache import Cache, row_key
from winnow.scoring.checklist import Checklist
from winnow.scoring.hostile import injection_flags
from winnow.scoring.injections import Injection, inject
from winnow.scoring.judge import Judge
from winnow.scoring.matching import count_tokens, normalised

_TEXT = ("text", "text_sha256")


def judged_rows(rows: Iterable[Row], judge: Judge, checklist: Checklist, cache: Cache, tally: Tally) -> Iterator[Row]:
    """Yield one judged row per response, in their order; the same rows whatever the cache holds.

    Args:
        rows: response_id, prompt_id, text and text_sha256 of the responses; further columns are passed on.
        judge: answers what the cache does not have.
        checklist: the items.
        cache: of this judge and checklist; grows.
        tally: counts rows, and how many came from the cache.
    """
    stamp = asdict(judge.identity) | {"checklist_sha": checklist.sha256}
    for chunk in _chunks(rows, judge.chunk_texts):
        keys = [row_key(row["text_sha256"], judge.identity, checklist) for row in chunk]
        known = {key: found for key in keys if (found := cache.get(key)) is not None}
        missing = {key: row["text"] for key, row in zip(keys, chunk, strict=True) if key not in known}
        if missing:
            judgements = judge.judge(list(missing.values()), checklist.questions)
            new = dict(zip(missing, map(vars, judgements), strict=True))
            cache.add(new)
            known |= new
        tally.note("judged now", len(missing))
        for row, key, measured in zip(chunk, keys, _measured(chunk), strict=True):
            tally.read += 1
            tally.kept += 1
            given = {name: value for name, value in row.items() if name not in _TEXT}
            yield {"key": key} | given | known[key] | measured | {"judge": stamp}


def planted(rows: Iterable[Row], injections: Sequence[Injection]) -> Iterator[Row]:
    """Yield rows with an instruction to the judge planted in each text, and its name as `injection`."""
    for row in rows:
        text, injection = inject(row["text"], row["response_id"], injections)
        yield row | {"text": text, "text_sha256": sha256_text(text), "injection": injection}


def _chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _measured(chunk: list[Row]) -> list[Row]:
    """Return what no judge is asked for, measured anew each time so that no cached value can be out of date."""
    lines = normalised([row["text"] for row in chunk])
    return [
        {"injection_flags": flags, "n_tokens": tokens}
        for flags, tokens in zip(injection_flags(lines), count_tokens(lines), strict=True)
    ]
