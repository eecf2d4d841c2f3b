"""How far a policy has moved from its reference: KL on fixed responses, exactly, and on its own samples."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from winnow.models.processors import image_inputs
from winnow.numerics.logprobs import exact_kl, k3_kl, token_logprobs

EXACT_ROWS = 8  # validation pairs whose chosen response is scored
SAMPLED_ROWS = 4  # validation prompts to which the policy responds
SAMPLED_TOKENS = 64  # longest sample: the cost of every measurement is bounded
CHUNK = 256  # positions whose logits are compared at once: a large vocabulary would fill a GPU

Reference = Callable[[], Any]


@dataclass(frozen=True)
class KlRow:
    """Token ids of a validation prompt and of its chosen response, and paths of the images that the prompt shows."""

    prompt: tuple[int, ...]
    response: tuple[int, ...]
    images: tuple[str, ...] = ()


def _spread(rows: int) -> list[int]:
    """Choose validation pairs, evenly over the table, which is ordered by id."""
    count = min(EXACT_ROWS, rows)
    return [index * rows // count for index in range(count)]


def kl_rows(prepared: Any) -> list[KlRow]:
    """Choose pairs from the trainer's validation rows of text."""
    picked = [prepared[index] for index in _spread(len(prepared))]
    return [KlRow(tuple(row["prompt_ids"]), tuple(row["chosen_ids"])) for row in picked]


def shown_kl_rows(table: Any, prepared: Any, collate: Any) -> list[KlRow]:
    """Choose pairs from validation rows with images, whose tokens only TRL's collator makes.

    Args:
        table: the rows, images as paths.
        prepared: the same rows, images to be opened.
        collate: TRL's collator, which puts chosen before rejected.
    """
    rows = []
    for index in _spread(len(prepared)):
        batch = collate([prepared[index]])
        ids, answer = batch["input_ids"][0], batch["completion_mask"][0].bool()
        prompt = batch["attention_mask"][0].bool() & ~answer
        rows.append(KlRow(tuple(ids[prompt].tolist()), tuple(ids[answer].tolist()), tuple(table[index]["images"])))
    return rows


class KlProbe:
    """Measures KL(policy || reference) with equal random numbers each time, so that steps can be compared."""

    def __init__(self, policy: Any, reference: Any | None, rows: Sequence[KlRow], processing: Any, seed: int) -> None:
        self.policy = policy
        self.reference = reference  # None: the policy without its adapter
        self.rows = rows
        self.processing = processing  # the processor, or the tokenizer where rows show no images
        self.tokenizer = getattr(processing, "tokenizer", processing)
        self.seed = seed

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Return the KL of now.

        kl_tok: exact, sum_v pi log(pi / ref), mean over the tokens of fixed responses, nats per token.
        kl_seq: sum_t (log pi - log ref) over a response sampled from the policy, mean over samples, nats per response.
        kl_k3: non-negative estimate from the same samples, nats per token.
        kl_seq_tokens: mean length of the samples, at most SAMPLED_TOKENS.
        """
        exact = torch.cat([self._exact(row) for row in self.rows]).mean().item()
        samples = self._sample(self.rows[:SAMPLED_ROWS])
        differences, k3 = [], []
        for row, sample in zip(self.rows, samples, strict=False):
            policy, reference = self._logps(KlRow(row.prompt, sample, row.images))
            differences.append((policy - reference).sum())
            k3.append(k3_kl(policy, reference))
        return {
            "kl_tok": exact,
            "kl_seq": torch.stack(differences).mean().item(),
            "kl_k3": torch.cat(k3).mean().item(),
            "kl_seq_tokens": sum(map(len, samples)) / len(samples),
        }

    @contextmanager
    def _as_reference(self) -> Iterator[Any]:
        with self.policy.disable_adapter() if self.reference is None else nullcontext():
            yield self.policy if self.reference is None else self.reference

    def _inputs(self, ids: Tensor, rows: Sequence[KlRow]) -> dict[str, Any]:
        """Return a model's inputs: the ids, and the images of the rows that they are of."""
        images = [path for row in rows for path in row.images]
        return {"input_ids": ids} | (image_inputs(self.processing, images, ids) if images else {})

    def _both_logits(self, row: KlRow) -> tuple[Tensor, Tensor]:
        """Return policy's and reference's logits that predict each token of the response: [response, vocabulary]."""
        inputs = self._inputs(torch.tensor([row.prompt + row.response], device=self.policy.device), [row])
        # The token at a position is predicted by the position before it.
        inputs |= {"use_cache": False, "logits_to_keep": len(row.response) + 1}
        policy = self.policy(**inputs).logits[0, :-1]
        with self._as_reference() as reference:
            return policy, reference(**inputs).logits[0, :-1]

    def _exact(self, row: KlRow) -> Tensor:
        policy, reference = self._both_logits(row)
        pieces = zip(torch.split(policy, CHUNK), torch.split(reference, CHUNK), strict=True)
        return torch.cat([exact_kl(mine, theirs) for mine, theirs in pieces])

    def _logps(self, row: KlRow) -> tuple[Tensor, Tensor]:
        tokens = torch.tensor(row.response, device=self.policy.device)
        policy, reference = self._both_logits(row)
        return token_logprobs(policy, tokens), token_logprobs(reference, tokens)

    def _sample(self, rows: Sequence[KlRow]) -> list[tuple[int, ...]]:
        """Draw one response to each prompt from the policy as it is (temperature 1, no cut of the distribution).

        Behind images the token that stands for a piece of one is not drawn: no piece would be there to be read.
        """
        prompts = [row.prompt for row in rows]
        longest, pad, end = max(map(len, prompts)), self.tokenizer.pad_token_id, self.tokenizer.eos_token_id
        device = self.policy.device
        ids = torch.tensor([[pad] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=device)
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):  # the training's own random numbers must not move
            torch.manual_seed(self.seed)
            drawn = self.policy.generate(
                **self._inputs(ids, rows),
                attention_mask=mask,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                max_new_tokens=SAMPLED_TOKENS,
                eos_token_id=end,
                pad_token_id=pad,
                suppress_tokens=[self.processing.image_token_id] if any(row.images for row in rows) else None,
                use_cache=True,
            )
        return [_until_end(tuple(row.tolist()), end) for row in drawn[:, longest:]]


def _until_end(tokens: tuple[int, ...], end: int) -> tuple[int, ...]:
    """Return a response with its end, without the padding after it."""
    return tokens[: tokens.index(end) + 1] if end in tokens else tokens
