"""From rendered tables to one row of measurements for each response, pair and sample."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from winnow.core.config.runs import Evaluation
from winnow.core.errors import WinnowError
from winnow.core.log import Progress
from winnow.core.tables import count_rows, read_rows
from winnow.evaluation.encoding import Encoded, encode, show_images
from winnow.evaluation.generation import choose_samples, generate_batch
from winnow.evaluation.likelihood import response_logps
from winnow.evaluation.models import LoadedModel
from winnow.models.images import check_images

Row = dict[str, Any]


def check_table(loaded: LoadedModel, table: Path) -> None:
    """Check that a table has images where the model is shown some, and that they are what was rendered.

    Raises:
        WinnowError: if not.
    """
    if ("images" in pq.read_schema(table).names) != (loaded.processor is not None):
        said = "shows no images" if loaded.processor is None else "shows images"
        raise WinnowError(table, f"does not go with a modality that {said}", "give the table of that modality")
    if loaded.processor is not None:
        rows = [row["images"] for row in read_rows(table, ["images"])]
        if not all(rows):
            raise WinnowError(table, "has a row that shows no image", "render the rows again, which leaves it out")
        check_images(path for paths in rows for path in paths)


def _encoded(loaded: LoadedModel, row: Row, side: str, place: str) -> Encoded:
    """Return the tokens of a prompt and one of its responses."""
    encoded = encode(loaded.tokenizer, row["prompt"], row[side], place)
    return encoded if loaded.processor is None else show_images(encoded, loaded.processor, row["images"], place)


def _text(message: Row) -> str:
    """Return what a message says, its images left out."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] or "" for part in content)


def measure_heldout(loaded: LoadedModel, table: Path, batch_size: int) -> Iterator[Row]:
    """Yield the loss of every held-out response: id, prompt_id, nats, tokens, cut (whether its prompt was)."""

    def encoded() -> Iterator[tuple[Row, Encoded]]:
        for row in read_rows(table):
            place = f"{table.name}, response {row['response_id']}"
            key = {"id": row["response_id"], "prompt_id": row["prompt_id"], "cut": bool(row["prompt_tokens_cut"])}
            yield key, _encoded(loaded, row, "completion", place)

    progress = Progress("held-out responses", count_rows(table))
    for key, logp, tokens in response_logps(loaded, encoded(), batch_size):
        progress.step()
        yield {**key, "nats": round(-logp, 6), "tokens": tokens}


def measure_preferences(loaded: LoadedModel, table: Path, batch_size: int) -> Iterator[Row]:
    """Yield the log-probabilities of every pair: id, prompt_id, {chosen,rejected}_{logp,tokens}."""

    def encoded() -> Iterator[tuple[tuple[str, str, str], Encoded]]:
        for row in read_rows(table):
            for side in ("chosen", "rejected"):
                place = f"{table.name}, pair {row['pair_id']}, {side}"
                key = (row["pair_id"], row["prompt_id"], side)
                yield key, _encoded(loaded, row, side, place)

    progress = Progress(f"pairs of {table.parent.name}", count_rows(table))
    pair: Row = {}
    for (pair_id, prompt_id, side), logp, tokens in response_logps(loaded, encoded(), batch_size):
        pair |= {f"{side}_logp": round(logp, 6), f"{side}_tokens": tokens}
        if side == "rejected":
            progress.step()
            yield {"id": pair_id, "prompt_id": prompt_id, **pair}
            pair = {}


def measure_generations(loaded: LoadedModel, table: Path, settings: Evaluation) -> list[Row]:
    """Return greedy samples for the first held-out prompts by hash, the human response beside each."""
    ids = [(row["prompt_id"], row["response_id"]) for row in read_rows(table, ["prompt_id", "response_id"])]
    order = {response_id: rank for rank, response_id in enumerate(choose_samples(ids, settings.samples))}
    columns = ["prompt_id", "response_id", "prompt", "completion", *(["images"] if loaded.processor else [])]
    rows = [row for row in read_rows(table, columns) if row["response_id"] in order]
    rows.sort(key=lambda row: order[row["response_id"]])
    samples: list[Row] = []
    for batch in (rows[start : start + settings.batch_size] for start in range(0, len(rows), settings.batch_size)):
        encoded = [_encoded(loaded, row, "completion", f"{table.name}, {row['response_id']}") for row in batch]
        prompts, images = [row.ids[: row.prompt_tokens] for row in encoded], [row.images for row in encoded]
        made = generate_batch(loaded, prompts, settings.max_new_tokens, images)
        for row, sample in zip(batch, made, strict=True):
            samples.append(
                {
                    "prompt_id": row["prompt_id"],
                    "response_id": row["response_id"],
                    "prompt": _text(row["prompt"][-1]),
                    "human": _text(row["completion"][-1]),
                    **sample,
                }
            )
    return samples
