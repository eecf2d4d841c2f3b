"""From rendered tables to one row of measurements for each response, pair and sample."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from winnow.core.errors import WinnowError
from winnow.core.log import Progress
from winnow.core.tables import count_rows, read_rows
from winnow.evaluation.likelihood import by_length, response_logps, response_logps_and_entropies
from winnow.generation.prompts import read_prompts
from winnow.models.encoding import Encoded, encode, expand_prompt, show_images
from winnow.models.inference import LoadedModel
from winnow.models.words import tokens_of_words, word_logps
from winnow.numerics.tokens import pad_id

Row = dict[str, Any]


def _encoded(loaded: LoadedModel, row: Row, side: str, place: str) -> Encoded:
    """Return the tokens of a prompt and one of its responses."""
    encoded = encode(loaded.tokenizer, row["prompt"], row[side], place)
    return encoded if loaded.processor is None else show_images(encoded, loaded.processor, row["images"], place)


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


def measure_samples(loaded: LoadedModel, table: Path, generations: Path, batch_size: int) -> Iterator[Row]:
    """Yield the loss and the entropy of every generated response: id, prompt_id, nats, tokens, mean_entropy.

    Args:
        loaded: the model that generated them.
        table: rendered held-out rows, the same that they were generated from.
        generations: generations.jsonl.
        batch_size: responses scored at once.

    Raises:
        WinnowError: if a response answers a prompt that the table lacks.
    """
    read = read_prompts(table, loaded.tokenizer, images=loaded.processor is not None)
    prompts = {prompt.prompt_id: prompt for prompt in read}

    def encoded() -> Iterator[tuple[Row, Encoded]]:
        with generations.open(encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                prompt = prompts.get(row["prompt_id"])
                if prompt is None:
                    raise WinnowError(
                        f"{generations}, {row['id']}", "answers no prompt of the table", "generate the responses again"
                    )
                ids = expand_prompt(prompt.ids, loaded.processor, prompt.images, f"{table.name}, {prompt.prompt_id}")
                key = {"id": row["id"], "prompt_id": row["prompt_id"]}
                yield key, Encoded((*ids, *row["token_ids"]), len(ids), prompt.images)

    progress = Progress("generated responses")
    for key, (logp, entropy), tokens in response_logps_and_entropies(loaded, encoded(), batch_size):
        progress.step()
        yield {**key, "nats": round(-logp, 6), "tokens": tokens, "mean_entropy": round(entropy, 6)}


def measure_answers(loaded: LoadedModel, table: Path, answers: Mapping[str, str], batch_size: int) -> Iterator[Row]:
    """Yield for every prompt how probable each answer is: id, prompt_id, logps (label → nats), ordered by id.

    Args:
        loaded: a model that is shown text alone.
        table: rendered held-out rows.
        answers: label → its word, with which a response would begin.
        batch_size: prompts scored at once; in a batch they are of like length.
    """
    prompts = sorted(read_prompts(table, loaded.tokenizer), key=lambda prompt: prompt.prompt_id)
    if not prompts:
        return
    words = tokens_of_words(loaded.tokenizer, answers, next(read_rows(table, ["prompt"]))["prompt"])
    pad = pad_id(loaded.tokenizer)
    encoded = ((prompt.prompt_id, Encoded(prompt.ids, len(prompt.ids))) for prompt in prompts)
    progress = Progress("prompts with answers to compare", len(prompts))

    def measure(batch: Sequence[Encoded]) -> list[dict[str, float]]:
        return word_logps(loaded.model, [prompt.ids for prompt in batch], words, pad)

    for name, logps, _ in by_length(encoded, batch_size, measure):
        progress.step()
        yield {"id": name, "prompt_id": name, "logps": {label: round(logp, 6) for label, logp in logps.items()}}


def joined_samples(generations: Path, measured: Sequence[Row]) -> list[Row]:
    """Return how each generated response came about, how it ended, its length and its entropy."""
    with generations.open(encoding="utf-8") as lines:
        made = [json.loads(line) for line in lines]
    return [
        {key: row[key] for key in ("decoding", "stop_reason", "tokens")} | {"mean_entropy": found["mean_entropy"]}
        for row, found in zip(made, measured, strict=True)
    ]
