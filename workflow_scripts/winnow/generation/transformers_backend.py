"""Responses by transformers: the rows of a batch answer one prompt, so none is padded, or changes with other prompts.

Tokens are drawn here, each row with random numbers of its own: in transformers a batch shares one stream of them, and
a sample would change with whatever is generated beside it.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import torch
from transformers import GenerationConfig

from winnow.core.config.runs import Generation
from winnow.core.manifest import installed
from winnow.generation.sampling import Request, Sample, read_sample
from winnow.models.encoding import expand_prompt
from winnow.models.inference import LoadedModel
from winnow.models.inputs import model_inputs
from winnow.numerics.tokens import pad_id


def draw_token(logits: torch.Tensor, uniform: float, *, temperature: float, top_p: float) -> int:
    """Return one token of a distribution, by the inverse of its cumulated probabilities.

    Tokens are ordered by probability, equal ones by id, and cut where they first make up `top_p` (nucleus sampling,
    Holtzman et al. 2020); what is left is scaled to 1. In float64, so that a rounding decides nothing in practice.

    Args:
        logits: scores before softmax. Shape: [vocabulary].
        uniform: a random number in [0, 1).
        temperature: by which logits are divided; above 0.
        top_p: in (0, 1].
    """
    probabilities, tokens = (logits.double() / temperature).softmax(-1).sort(descending=True, stable=True)
    cumulated = probabilities.cpu().cumsum(-1)  # on a GPU the order of such a sum is not fixed
    kept = int((cumulated < top_p).sum()) + 1  # the token that reaches the share is in
    cumulated = cumulated[:kept]
    place = int(torch.searchsorted(cumulated, uniform * float(cumulated[-1]), right=True))
    return int(tokens[min(place, len(cumulated) - 1)])


class _Drawing:
    """Leaves greedy rows as they are, and in drawn rows nothing but the token that was drawn."""

    def __init__(self, seeds: Sequence[int | None], settings: Generation, forbidden: Sequence[int]) -> None:
        self._random = [None if seed is None else Random(seed) for seed in seeds]
        self._settings = settings
        self._forbidden = list(forbidden)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 - transformers' signature
        """Return scores whose argmax is the next token. Shape: [rows, vocabulary]."""
        scores[:, self._forbidden] = -torch.inf
        for row, random in enumerate(self._random):
            if random is not None:
                token = draw_token(
                    scores[row], random.random(), temperature=self._settings.temperature, top_p=self._settings.top_p
                )
                scores[row] = -torch.inf
                scores[row, token] = 0
        return scores


class TransformersBackend:
    """Generates with a model that is loaded already."""

    chunk_prompts = 1

    def __init__(self, loaded: LoadedModel, settings: Generation) -> None:
        self._loaded = loaded
        self._settings = settings

    @property
    def identity(self) -> Mapping[str, Any]:
        """The libraries that compute and draw, and in which precision."""
        software = installed(["torch", "transformers", "tokenizers"])
        return {"software": software, "device": self._loaded.device, "dtype": self._loaded.dtype}

    def generate(self, requests: Sequence[Request]) -> list[Sample]:
        """Return a response to each request, `batch_size` at once."""
        size = self._settings.batch_size
        batches = [requests[start : start + size] for start in range(0, len(requests), size)]
        return [sample for batch in batches for sample in self._batch(batch)]

    def _batch(self, batch: Sequence[Request]) -> list[Sample]:
        tokenizer, processor = self._loaded.tokenizer, self._loaded.processor
        stops = sorted({int(tokenizer.eos_token_id), pad_id(tokenizer)})
        # A model's own generation settings (temperature, repetition penalty) must not differ between runs.
        self._loaded.model.generation_config = GenerationConfig(
            do_sample=False,
            eos_token_id=stops,
            pad_token_id=pad_id(tokenizer),
            max_new_tokens=self._settings.max_new_tokens,
        )
        rows = [(expand_prompt(one.prompt, processor, one.images, "a held-out prompt"), one.images) for one in batch]
        inputs = model_inputs(self._loaded, rows)
        inputs.pop("position_ids", None)  # generate() makes and extends its own
        # The token that stands for a piece of an image is never said: no piece would be there to be read.
        forbidden = [] if processor is None else [int(processor.image_token_id)]
        drawing = _Drawing([one.seed for one in batch], self._settings, forbidden)
        with torch.inference_mode():
            output = self._loaded.model.generate(**inputs, logits_processor=[drawing])
        start = inputs["input_ids"].shape[1]
        return [read_sample(row[start:].tolist(), stops, tokenizer) for row in output]
