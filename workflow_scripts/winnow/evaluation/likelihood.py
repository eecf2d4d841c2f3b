"""Log-probability that a model gives to a response after its prompt, and how sure it was on the way."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import torch

from winnow.models.encoding import Encoded
from winnow.models.inference import LoadedModel
from winnow.models.inputs import model_inputs
from winnow.numerics.logprobs import compute_entropy, token_logprobs

KeyT = TypeVar("KeyT")
FoundT = TypeVar("FoundT")

WINDOW_BATCHES = 32  # rows held in memory and ordered by length, so that a batch holds little padding


def _response_logits(loaded: LoadedModel, batch: Sequence[Encoded]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield for each row the logits of its response and the tokens. Shapes: [tokens, vocabulary] and [tokens].

    Logits are made for the response positions only, and turned into float32 a row at a time: a
    whole paper's logits over a large vocabulary would fill a GPU.
    """
    inputs = model_inputs(loaded, [(row.ids, row.images) for row in batch])
    longest = max(row.response_tokens for row in batch)
    # The token at a position is predicted by the position before it.
    logits = loaded.model(**inputs, use_cache=False, logits_to_keep=longest + 1).logits[:, :-1]
    for row, row_logits in zip(batch, logits, strict=True):
        yield row_logits[-row.response_tokens :], torch.tensor(row.ids[row.prompt_tokens :], device=loaded.device)


@torch.inference_mode()
def batch_logps(loaded: LoadedModel, batch: Sequence[Encoded]) -> list[float]:
    """Return the summed log-probability of each response given its prompt, in nats."""
    return [float(token_logprobs(*of_row).double().sum()) for of_row in _response_logits(loaded, batch)]


@torch.inference_mode()
def batch_logps_and_entropies(loaded: LoadedModel, batch: Sequence[Encoded]) -> list[tuple[float, float]]:
    """Return for each response its summed log-probability and the mean entropy of its tokens' distributions, in nats.

    Both at temperature 1 over the whole vocabulary, however the response was drawn.
    """
    found = []
    for logits, labels in _response_logits(loaded, batch):
        logp = float(token_logprobs(logits, labels).double().sum())
        found.append((logp, float(compute_entropy(logits).double().mean())))
    return found


def by_length(
    rows: Iterable[tuple[KeyT, Encoded]], batch_size: int, measure: Callable[[Sequence[Encoded]], list[FoundT]]
) -> Iterator[tuple[KeyT, FoundT, int]]:
    """Yield key, what `measure` found and number of response tokens, rows in their order.

    Memory holds a window of rows: they are grouped by length within it, and given back in order.
    """
    iterator = iter(rows)
    while window := list(islice(iterator, WINDOW_BATCHES * batch_size)):
        order = sorted(range(len(window)), key=lambda index: (len(window[index][1].ids), index))
        found: dict[int, FoundT] = {}
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            values = measure([window[index][1] for index in chosen])
            found.update(zip(chosen, values, strict=True))
        for index, (key, encoded) in enumerate(window):
            yield key, found[index], encoded.response_tokens


def response_logps(
    loaded: LoadedModel, rows: Iterable[tuple[KeyT, Encoded]], batch_size: int
) -> Iterator[tuple[KeyT, float, int]]:
    """Yield key, summed log-probability in nats and number of response tokens, rows in their order."""
    return by_length(rows, batch_size, lambda batch: batch_logps(loaded, batch))


def response_logps_and_entropies(
    loaded: LoadedModel, rows: Iterable[tuple[KeyT, Encoded]], batch_size: int
) -> Iterator[tuple[KeyT, tuple[float, float], int]]:
    """Yield key, summed log-probability with mean entropy, and number of response tokens, rows in their order."""
    return by_length(rows, batch_size, lambda batch: batch_logps_and_entropies(loaded, batch))
