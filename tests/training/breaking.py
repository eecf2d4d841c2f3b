"""Breaking off a training in the middle, as a power cut does; and sharding on CPUs, which accelerate does not."""

import os
from typing import Any

from accelerate.state import PartialState
from accelerate.utils import DistributedType
from transformers import TrainerCallback

from winnow.training import setting
from winnow.training.dpo import dpo_trainer
from winnow.training.sft import sft_trainer

BUILD = {"sft": sft_trainer, "dpo": dpo_trainer}


class PowerCutError(Exception):
    """Stands for a kill in the middle of a step."""


class CutAt(TrainerCallback):
    """Ends the process's work before the update of a step, or after it."""

    def __init__(self, step: int, event: str) -> None:
        self.step = step
        setattr(self, event, self._cut)

    def _cut(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise PowerCutError


def fsdp_on_cpu() -> None:
    """Let accelerate shard over CPUs. Left alone it runs plain DDP, or leaves every process alone, and says nothing.

    It makes a launched process without GPU look like one that has one; sharding itself is PyTorch's own.
    """
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    prepare_backend, trainer_config = PartialState._prepare_backend, setting.trainer_config

    def with_gloo(self: Any, *args: Any, **others: Any) -> tuple[str | None, Any]:
        backend, kind = prepare_backend(self, *args, **others)
        found_nothing = kind in (DistributedType.NO, DistributedType.MULTI_CPU)
        return ("gloo", DistributedType.MULTI_GPU) if found_nothing else (backend, kind)

    PartialState._prepare_backend = with_gloo
    setting.trainer_config = lambda *args, **others: trainer_config(*args, **(others | {"cpu": False}))
