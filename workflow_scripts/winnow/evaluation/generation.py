"""Greedy samples for held-out prompts, with why each stopped and how sure the model was."""

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

import torch
from transformers import GenerationConfig

from winnow.core.ids import unit_interval
from winnow.evaluation.likelihood import model_inputs
from winnow.evaluation.models import LoadedModel
from winnow.numerics.logprobs import compute_entropy
from winnow.numerics.tokens import pad_id


class Sample(TypedDict):
    """One generated response.

    Keys:
        text: without special tokens.
        stop_reason: "stop" where the model ended it, "length" where the limit did.
        tokens: generated, the end-of-turn token included.
        mean_entropy: of the next-token distributions it was drawn from, in nats.
    """

    text: str
    stop_reason: Literal["stop", "length"]
    tokens: int
    mean_entropy: float


class EntropyRecorder:
    """Keeps the entropy of every next-token distribution that generation passes through it."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 - transformers' signature
        """Record [rows] entropies in nats and leave the scores as they are."""
        self.steps.append(compute_entropy(scores).cpu())
        return scores


def choose_samples(ids: Sequence[tuple[str, str]], count: int) -> list[str]:
    """Return the response ids of `count` prompts, first by hash, with one response for each.

    Args:
        ids: prompt id and response id of every held-out row.
        count: how many prompts; all where there are fewer.
    """
    first: dict[str, str] = {}
    for prompt_id, response_id in sorted(ids, key=lambda pair: (unit_interval(pair[1], "sample"), pair[1])):
        first.setdefault(prompt_id, response_id)
    prompts = sorted(first, key=lambda prompt_id: (unit_interval(prompt_id, "sample"), prompt_id))
    return [first[prompt_id] for prompt_id in prompts[:count]]


def generate_batch(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    images: Sequence[Sequence[str]] | None = None,
) -> list[Sample]:
    """Return one greedy response for each encoded prompt, `images` being the paths of what each shows."""
    stops = sorted({int(loaded.tokenizer.eos_token_id), pad_id(loaded.tokenizer)})
    # A model's own generation settings (temperature, repetition penalty) must not differ between runs.
    loaded.model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=stops, pad_token_id=pad_id(loaded.tokenizer), max_new_tokens=max_new_tokens
    )
    inputs = model_inputs(loaded, list(zip(prompts, images or [()] * len(prompts), strict=True)))
    inputs.pop("position_ids", None)  # generate() makes and extends its own
    recorder = EntropyRecorder()
    with torch.inference_mode():
        output = loaded.model.generate(**inputs, logits_processor=[recorder])
    entropies = torch.stack(recorder.steps, dim=1)
    start = inputs["input_ids"].shape[1]
    return [
        _sample(loaded.tokenizer, row[start:].tolist(), steps.tolist(), stops)
        for row, steps in zip(output, entropies, strict=True)
    ]


def _sample(tokenizer: Any, ids: list[int], entropies: list[float], stops: list[int]) -> Sample:
    ends = [index for index, token in enumerate(ids) if token in stops]
    tokens = ends[0] + 1 if ends else len(ids)
    return Sample(
        text=tokenizer.decode(ids[:tokens], skip_special_tokens=True),
        stop_reason="stop" if ends else "length",
        tokens=tokens,
        mean_entropy=round(sum(entropies[:tokens]) / tokens, 6),
    )
