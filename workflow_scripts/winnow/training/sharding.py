"""Weights that are spread over processes (ZeRO-3, FSDP2), seen whole. Every process must take part in each call."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.distributed.tensor import DTensor


def _in_zero(tensor: Any) -> bool:
    """Say whether DeepSpeed has taken a parameter apart (ZeRO-3)."""
    return hasattr(tensor, "ds_id")


def is_sharded(model: Any) -> bool:
    """Say whether any weight of a model is spread over processes."""
    return any(_in_zero(tensor) or isinstance(tensor, DTensor) for tensor in model.parameters())


def size_of(parameter: Any) -> int:
    """Return how many numbers a parameter has, wherever they lie."""
    return int(parameter.ds_numel if _in_zero(parameter) else parameter.numel())


def _whole(tensor: Any) -> torch.Tensor:
    """Return one tensor whole."""
    if _in_zero(tensor):
        import deepspeed  # noqa: PLC0415 - slow, and only where it is used

        with deepspeed.zero.GatheredParameters([tensor]):
            return tensor.detach().clone()
    return tensor.full_tensor().detach() if isinstance(tensor, DTensor) else tensor.detach()


def whole_weights(model: Any, wanted: Callable[[Any], bool]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield weights by name, whole; one at a time, since all together may not fit.

    Args:
        model: the module itself, not what DeepSpeed made of it.
        wanted: says which tensors.
    """
    for name, tensor in model.state_dict(keep_vars=True).items():
        if wanted(tensor):
            yield name, _whole(tensor)


def whole_state(model: Any, *, trained_only: bool, keep: bool) -> dict[str, torch.Tensor]:
    """Return the weights of a model, whole and on the CPU.

    Args:
        model: the module itself.
        trained_only: only those that training changes.
        keep: False only takes part, and returns nothing.
    """
    shared = {name: id(tensor) for name, tensor in model.state_dict(keep_vars=True).items()}
    kept: dict[int, torch.Tensor] = {}
    state = {}
    for name, tensor in whole_weights(model, lambda tensor: tensor.requires_grad or not trained_only):
        if keep:  # weights that two names share stay one tensor
            state[name] = kept.setdefault(shared[name], tensor.cpu())
    return state


def fingerprints(model: Any) -> dict[str, str]:
    """Return the hash of each weight that training changes, whole, by the model's own names.

    Checkpoint formats rename weights; these hashes say after a resume whether the model holds what it held.
    """
    return {name: _sha256(tensor) for name, tensor in whole_weights(model, lambda tensor: tensor.requires_grad)}


def _sha256(tensor: torch.Tensor) -> str:
    values = tensor.cpu().contiguous()
    return hashlib.sha256(values.view(-1).view(torch.uint8).numpy().data).hexdigest()
