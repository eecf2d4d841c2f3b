"""TRL's trainers with ears. Subclasses, since TRL has no hook between its own metrics and the trackers.

`compute_loss` brackets a batch for `Watch`; `log` adds measurements before TRL sends them to all
that listen; the model card, which would be written at every save, is left out.
"""

from typing import Any

from trl import DPOTrainer, SFTTrainer

from winnow.training.kl import KlProbe
from winnow.training.watch import Watch


class _Watched:
    """What both trainers add."""

    watch: Watch | None = None
    probe: KlProbe | None = None
    model: Any
    _metrics: Any

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Let the watch see the forward passes of a batch."""
        assert self.watch is not None
        with self.watch.batch(inputs, "train" if self.model.training else "eval"):
            return super().compute_loss(model, inputs, *args, **kwargs)  # type: ignore[misc]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what the watch and the probe found."""
        assert self.watch is not None
        if self.model.training:
            logs.update(self.watch.drain("train") if "loss" in logs else {})
        else:
            found = self.watch.drain("eval")
            if found and self.probe is not None:
                found |= self.probe.measure()
            logs.update({f"eval_{name}": value for name, value in found.items()})
        super().log(logs, start_time)  # type: ignore[misc]

    def create_model_card(self, *_args: Any, **_kwargs: Any) -> None:
        """Write nothing: a checkpoint is not a publication."""


class WatchedSFTTrainer(_Watched, SFTTrainer):
    """SFT with measurements."""


class WatchedDPOTrainer(_Watched, DPOTrainer):
    """DPO with measurements."""
