"""What is measured in every batch of a training beyond what TRL logs, without a second forward pass."""

import math
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from winnow.numerics.masks import masked_normalize
from winnow.numerics.preferences import PairLogps
from winnow.training.world import World


class Watch:
    """Sums over batches since the last log, apart for training and evaluation.

    It reads the outputs of the policy's and the reference's own forward passes: TRL asks the policy
    first, then the reference (another model, or the policy with its adapter switched off). Each
    process sums over its own rows; what is told is of all.
    """

    def __init__(self, beta: float | None, world: World) -> None:
        self.beta = beta  # None: not a preference training
        self.last: Any = None  # what the policy answered to the last batch, with its graph
        self.world = world
        self._outputs: list[Any] | None = None
        self._sums: dict[str, dict[str, Tensor]] = {"train": {}, "eval": {}}
        self._seconds = 0.0

    def attach(self, policy: Any, reference: Any | None) -> None:
        """Listen to the models' forward passes."""
        for model in (policy, reference):
            if model is not None:
                model.register_forward_hook(self._hear)

    def _hear(self, _module: Any, _inputs: Any, output: Any) -> None:
        if self._outputs is not None:
            self._outputs.append(output)

    @contextmanager
    def batch(self, inputs: dict[str, Any], mode: str, rows: int | None = None) -> Iterator[None]:
        """Measure the forward passes made within the block; sums grow when it ends well.

        Args:
            inputs: what the model is asked.
            mode: train or eval.
            rows: how many of the batch count; None for all. The others repeat rows that count elsewhere.
        """
        self._outputs = []
        try:
            yield
            self.last = self._outputs[0]
            with torch.no_grad():
                if rows is None or rows > 0:
                    self._count(inputs, mode, slice(rows))
        finally:
            self._outputs = None

    def add_seconds(self, seconds: float) -> None:
        """Count time spent on training steps."""
        self._seconds += seconds

    def _add(self, mode: str, values: dict[str, Tensor]) -> None:
        sums = self._sums[mode]
        for name, value in values.items():
            sums[name] = sums.get(name, torch.zeros((), dtype=torch.float64)) + value.detach().double().cpu()

    def _count(self, inputs: dict[str, Any], mode: str, rows: slice) -> None:
        assert self._outputs
        policy = self._outputs[0]
        mask = inputs["completion_mask"][:, 1:] if self.beta is not None else policy.label_mask
        width = mask.shape[1]
        entropy = policy.entropy[:, -width:]
        if self.beta is not None:
            self._count_pairs(inputs, mask, mode, rows)
        mask, entropy = (self._counted(part, rows) for part in (mask, entropy))
        self._add(
            mode,
            {
                "tokens": _tokens_in(inputs),
                "response_tokens": mask.sum(),
                "entropy": masked_normalize(entropy, mask),
            },
        )

    def _counted(self, part: Tensor, rows: slice) -> Tensor:
        """Return the rows that count; in a preference training a batch holds all chosen, then all rejected."""
        return part[rows] if self.beta is None else torch.cat([half[rows] for half in part.chunk(2)])

    def _count_pairs(self, inputs: dict[str, Any], mask: Tensor, mode: str, rows: slice) -> None:
        assert self._outputs
        width = mask.shape[1]
        sums = [masked_normalize(output.log_probs[:, -width:].float(), mask, dim=1) for output in self._outputs]
        chosen, rejected = sums[0].chunk(2)
        if "ref_chosen_logps" in inputs:
            reference: tuple[Tensor, ...] = (inputs["ref_chosen_logps"], inputs["ref_rejected_logps"])
        else:
            reference = sums[1].chunk(2)
        chosen, rejected = chosen[rows], rejected[rows]
        pairs = PairLogps(chosen, rejected, reference[0][rows], reference[1][rows])
        chosen_tokens, rejected_tokens = (tokens[rows] for tokens in mask.sum(1).chunk(2))
        self._add(
            mode,
            {
                "pairs": torch.tensor(len(chosen)),
                "delta_chosen": (pairs.delta_chosen / chosen_tokens).sum(),
                "delta_rejected": (pairs.delta_rejected / rejected_tokens).sum(),
                "logp_chosen": (chosen / chosen_tokens).sum(),
                "reward_chosen": pairs.delta_chosen.sum(),
                "reward_rejected": pairs.delta_rejected.sum(),
                "displaced": pairs.displaced.sum(),
            },
        )

    def drain(self, mode: str) -> dict[str, float]:
        """Return the measurements of all processes since the last call, and start anew. Empty if nothing was seen."""
        sums = self.world.totals(self._sums[mode])
        self._sums[mode] = {}
        if not sums:
            return {}
        values = {"response_entropy": sums["entropy"] / sums["response_tokens"]}
        if self.beta is not None:
            values |= _preference_values(sums, self.beta)
        if mode == "train":
            values["tokens_per_second"] = sums["tokens"] / max(self.world.largest(self._seconds), 1e-9)
            values["peak_memory_mb"] = self.world.largest(peak_memory_mb())
            self._seconds = 0.0
        return values


def _tokens_in(inputs: dict[str, Any]) -> Tensor:
    """Return how many tokens a batch has, without padding; packed rows have none."""
    return inputs["attention_mask"].sum() if "attention_mask" in inputs else torch.tensor(inputs["input_ids"].numel())


def _preference_values(sums: dict[str, float], beta: float) -> dict[str, float]:
    """Return the measurements of pairs, means over pairs (docs/methods.md, Training)."""
    pairs = sums["pairs"]
    chosen, rejected = beta * sums["reward_chosen"] / pairs, beta * sums["reward_rejected"] / pairs
    values = {
        "delta_logp_chosen_per_token": sums["delta_chosen"] / pairs,
        "delta_logp_rejected_per_token": sums["delta_rejected"] / pairs,
        "logp_chosen_per_token": sums["logp_chosen"] / pairs,
        "displacement_rate": sums["displaced"] / pairs,
        # The odds at which policy against reference prefers the chosen response; 1 where they agree.
        "reward_ratio": math.exp(min(chosen - rejected, 700.0)),
    }
    if chosen > 0 and rejected > 0:  # a ratio of rewards with different signs says nothing
        values["reward_ratio_raw"] = chosen / rejected
    return values


def peak_memory_mb() -> float:
    """Return the largest memory so far: of the GPU where there is one, else of the process, in 10^6 bytes."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
