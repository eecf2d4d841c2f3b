"""TRL's trainers with ears. Subclasses, since TRL has no hook between its own metrics and the trackers.

`compute_loss` brackets a batch for `Watch`; `log` adds measurements before TRL sends them to all
that listen; the model card, which would be written at every save, is left out.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from trl import DPOTrainer, SFTTrainer

from winnow.numerics.losses import Normalization, sft_loss, split_documents
from winnow.training.kl import KlProbe
from winnow.training.labels import LabelProbe
from winnow.training.reference import ReferenceCache
from winnow.training.watch import Watch


class _Watched:
    """What both trainers add."""

    watch: Watch | None = None
    probe: KlProbe | None = None
    labels: LabelProbe | None = None
    model: Any
    accelerator: Any
    args: Any

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Let the watch see the forward passes of a batch."""
        assert self.watch is not None
        mode = "train" if self.model.training else "eval"
        with self.watch.batch(inputs, mode, self._rows_of_its_own() if mode == "eval" else None):
            return super().compute_loss(model, inputs, *args, **kwargs)  # type: ignore[misc]

    def _rows_of_its_own(self) -> int | None:
        """Return how many rows of a validation batch are new, or None for all.

        Accelerate fills the last batches of several processes up with rows from the start of the table
        (accelerate/data_loader.py, even_batches), process by process.
        """
        state = self.accelerator.gradient_state
        if not state.end_of_dataloader or state.remainder < 1:
            return None
        size = self.args.per_device_eval_batch_size
        return int(min(max(state.remainder - self.accelerator.process_index * size, 0), size))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what the watch and the probes found."""
        assert self.watch is not None
        if self.model.training:
            logs.update(self.watch.drain("train") if "loss" in logs else {})
        else:
            found = self.watch.drain("eval")
            if found and self.probe is not None:
                found |= self.probe.measure()
            if found and self.labels is not None:
                found |= self.labels.measure()
            logs.update({f"eval_{name}": value for name, value in found.items()})
        super().log(logs, start_time)  # type: ignore[misc]

    def create_model_card(self, *_args: Any, **_kwargs: Any) -> None:
        """Write nothing: a checkpoint is not a publication."""


class WatchedSFTTrainer(_Watched, SFTTrainer):
    """SFT with measurements, and with the loss normalisations that TRL does not have.

    TRL's own is the mean over all tokens of an optimiser step (`token_global`). The other two take
    the log-probabilities of TRL's own forward pass and divide by the responses of the step, which
    are counted in all its batches and processes: how a step is divided changes nothing.
    """

    normalization: Normalization = "token_global"
    normalize_constant: float = 1.0

    def normalize(self, normalization: Normalization, constant: float) -> None:
        """Set what weighs alike in a step (winnow.numerics.losses.sft_loss)."""
        self.normalization, self.normalize_constant = normalization, constant
        if normalization != "token_global":
            self.loss_is_scaled_for_ga = True  # so that Trainer does not divide by the accumulation again

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """Return the batches of an optimiser step, and how many items its loss is the mean of."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self.normalization != "token_global":
            items = torch.tensor(sum(map(_responses_in, batches)), device=device)
            items = self.accelerator.gather(items).sum()
        return batches, items

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return TRL's loss, or the recipe's from the same forward pass."""
        assert self.watch is not None
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if self.normalization == "token_global":
            return loss
        output = self.watch.last
        own = sft_loss(
            *_as_responses(output.log_probs, output.label_mask, inputs),
            self.normalization,
            items=num_items_in_batch,
            normalize_constant=self.normalize_constant,
        )
        if num_items_in_batch is not None:
            own = own * self.accelerator.num_processes  # which average their gradients
        return (own, loss[1]) if return_outputs else own


def _responses_in(batch: dict[str, Any]) -> int:
    """Return how many responses a batch has; a packed row has several."""
    return len(batch["cu_seq_lens_q"]) - 1 if "cu_seq_lens_q" in batch else len(batch["labels"])


def _as_responses(log_probs: Tensor, mask: Tensor, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Return log-probabilities and mask with one row for each response. Shape of each: [responses, positions]."""
    if "cu_seq_lens_q" not in inputs:
        return log_probs, mask
    # A position holds what is said of the token after it: one column in front, and it stands at its token.
    at_tokens = (torch.nn.functional.pad(values, (1, 0)) for values in (log_probs, mask))
    log_probs, mask = (split_documents(values, inputs["cu_seq_lens_q"]) for values in at_tokens)
    return log_probs, mask


class WatchedDPOTrainer(_Watched, DPOTrainer):
    """DPO with measurements, and with reference log-probabilities that outlive the run."""

    def __init__(self, *args: Any, reference_cache: ReferenceCache | None = None, **kwargs: Any) -> None:
        self.reference_cache = reference_cache  # TRL asks for it while it is made
        super().__init__(*args, **kwargs)

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        """Return a dataset with its reference log-probabilities, from the cache where they are known.

        TRL's own cache lies beside the dataset and is found by a fingerprint of every step that made it.
        """
        make = super()._precompute_ref_logps
        if self.reference_cache is None:
            return make(dataset, name, batch_size)
        return self.reference_cache.add_to(dataset, name, lambda: make(dataset, name, batch_size), self.accelerator)
