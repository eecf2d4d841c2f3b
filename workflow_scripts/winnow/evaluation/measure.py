"""From rendered tables to one row of measurements for each response, pair and sample."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from winnow.core.config.runs import Evaluation
from winnow.core.log import Progress
from winnow.core.tables import count_rows, read_rows
from winnow.evaluation.encoding import Encoded, encode, encode_prompt
from winnow.evaluation.generation import choose_samples, generate_batch
from winnow.evaluation.likelihood import response_logps
from winnow.evaluation.models import LoadedModel

Row = dict[str, Any]


def measure_heldout(loaded: LoadedModel, table: Path, batch_size: int) -> Iterator[Row]:
    """Yield the loss of every held-out response: id, prompt_id, nats, tokens, cut (whether its prompt was)."""

    def encoded() -> Iterator[tuple[Row, Encoded]]:
        for row in read_rows(table):
            place = f"{table.name}, response {row['response_id']}"
            key = {"id": row["response_id"], "prompt_id": row["prompt_id"], "cut": bool(row["prompt_tokens_cut"])}
            yield key, encode(loaded.tokenizer, row["prompt"], row["completion"], place)

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
                yield key, encode(loaded.tokenizer, row["prompt"], row[side], place)

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
    columns = ["prompt_id", "response_id", "prompt", "completion"]
    rows = [row for row in read_rows(table, columns) if row["response_id"] in order]
    rows.sort(key=lambda row: order[row["response_id"]])
    samples: list[Row] = []
    for batch in (rows[start : start + settings.batch_size] for start in range(0, len(rows), settings.batch_size)):
        prompts = [encode_prompt(loaded.tokenizer, row["prompt"]) for row in batch]
        for row, sample in zip(batch, generate_batch(loaded, prompts, settings.max_new_tokens), strict=True):
            samples.append(
                {
                    "prompt_id": row["prompt_id"],
                    "response_id": row["response_id"],
                    "prompt": row["prompt"][-1]["content"],
                    "human": row["completion"][-1]["content"],
                    **sample,
                }
            )
    return samples
