"""Which responses a shard judges: by hash of the id, so that it depends on neither order nor neighbours."""

import heapq
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from winnow.core.errors import WinnowError
from winnow.core.ids import shard_of, unit_interval
from winnow.core.tables import BATCH_ROWS, Row, read_rows

_SALT = "limit"  # another draw than the one for shards, or a limit would empty some of them


def draw(responses: Path, limit: int, prompts: frozenset[str] | None = None) -> frozenset[str] | None:
    """Return the ids of the `limit` responses with the smallest hashes, of the whole corpus or of some prompts.

    A smaller limit draws a part of what a larger one draws. None stands for all responses of the corpus.
    """
    if limit == 0 and prompts is None:
        return None
    rows = read_rows(responses, ["response_id", "prompt_id"])
    ids = (row["response_id"] for row in rows if prompts is None or row["prompt_id"] in prompts)
    if limit == 0:
        return frozenset(ids)
    return frozenset(heapq.nsmallest(limit, ids, key=lambda identity: (unit_interval(identity, _SALT), identity)))


def shard_size(responses: Path, shard: int, shards: int, limit: int, prompts: frozenset[str] | None = None) -> int:
    """Return how many rows `shard_rows` yields, from the ids alone."""
    drawn = draw(responses, limit, prompts)
    ids = (row["response_id"] for row in read_rows(responses, ["response_id"]))
    return sum(shard_of(identity, shards) == shard and (drawn is None or identity in drawn) for identity in ids)


def shard_rows(
    responses: Path, shard: int, shards: int, limit: int, prompts: frozenset[str] | None = None
) -> Iterator[Row]:
    """Yield the responses of one shard, ordered by id.

    Args:
        responses: responses.parquet, which is ordered by response_id.
        shard: which one, from 0.
        shards: how many there are.
        limit: judge only so many of the corpus; 0 for all. The draw does not depend on `shards`.
        prompts: only responses to these; None for all.

    Raises:
        WinnowError: if the file is not in order.
    """
    drawn = draw(responses, limit, prompts)
    previous = ""
    with pq.ParquetFile(responses) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=["response_id", "prompt_id", "text", "text_sha256"]):
            places = []  # only these rows become Python objects, the texts of the others never do
            for place, identity in enumerate(batch.column("response_id").to_pylist()):
                if previous and identity <= previous:
                    raise WinnowError(
                        f"{responses}, response {identity}",
                        f"stands after {previous}: the table must be ordered by response_id, without repeats",
                        "have ingest write it again",
                    )
                previous = identity
                if shard_of(identity, shards) == shard and (drawn is None or identity in drawn):
                    places.append(place)
            yield from batch.take(pa.array(places, pa.int64())).to_pylist()
