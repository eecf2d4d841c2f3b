"""Log-probability that a model gives to a response after its prompt."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import torch

from winnow.evaluation.encoding import Encoded
from winnow.evaluation.models import LoadedModel
from winnow.models.processors import image_inputs
from winnow.numerics.logprobs import token_logprobs
from winnow.numerics.tokens import pad_id

KeyT = TypeVar("KeyT")

WINDOW_BATCHES = 32  # rows held in memory and ordered by length, so that a batch holds little padding


def pad_left(rows: Sequence[Sequence[int]], pad: int, device: str) -> dict[str, torch.Tensor]:
    """Return model inputs whose rows end together, so that responses stand at the right edge.

    Shapes: [rows, longest] each. A padding position never counts, so any id will do for it.
    """
    longest = max(map(len, rows))
    ids = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
    return {"input_ids": ids, "attention_mask": mask, "position_ids": (mask.cumsum(1) - 1).clamp(min=0)}


def model_inputs(loaded: LoadedModel, rows: Sequence[tuple[Sequence[int], Sequence[str]]]) -> dict[str, torch.Tensor]:
    """Return a model's inputs for rows of token ids and image paths, images included.

    With images there are no position ids: the model makes them itself, by where images are and how large.
    """
    inputs = pad_left([ids for ids, _ in rows], pad_id(loaded.tokenizer), loaded.device)
    if paths := [path for _, images in rows for path in images]:
        del inputs["position_ids"]
        inputs |= image_inputs(loaded.processor, paths, inputs["input_ids"])
    return inputs


@torch.inference_mode()
def batch_logps(loaded: LoadedModel, batch: Sequence[Encoded]) -> list[float]:
    """Return the summed log-probability of each response given its prompt, in nats.

    Logits are made for the response positions only, and turned into float32 a row at a time: a
    whole paper's logits over a large vocabulary would fill a GPU.
    """
    inputs = model_inputs(loaded, [(row.ids, row.images) for row in batch])
    longest = max(row.response_tokens for row in batch)
    # The token at a position is predicted by the position before it.
    logits = loaded.model(**inputs, use_cache=False, logits_to_keep=longest + 1).logits[:, :-1]
    sums = []
    for row, row_logits in zip(batch, logits, strict=True):
        labels = torch.tensor(row.ids[row.prompt_tokens :], device=loaded.device)
        sums.append(float(token_logprobs(row_logits[-row.response_tokens :], labels).double().sum()))
    return sums


def response_logps(
    loaded: LoadedModel, rows: Iterable[tuple[KeyT, Encoded]], batch_size: int
) -> Iterator[tuple[KeyT, float, int]]:
    """Yield key, summed log-probability in nats and number of response tokens, rows in their order.

    Memory holds a window of rows: they are grouped by length within it, and given back in order.
    """
    iterator = iter(rows)
    while window := list(islice(iterator, WINDOW_BATCHES * batch_size)):
        order = sorted(range(len(window)), key=lambda index: (len(window[index][1].ids), index))
        logps: dict[int, float] = {}
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            values = batch_logps(loaded, [window[index][1] for index in chosen])
            logps.update(zip(chosen, values, strict=True))
        for index, (key, encoded) in enumerate(window):
            yield key, logps[index], encoded.response_tokens
