"""The part of a model that sees images: frozen or trained, and never under an adapter."""

from typing import Any

from winnow.core.errors import WinnowError
from winnow.models.weights import vision_tower
from winnow.training.loading import base_of

# Of a module's full name. Attention and perceptrons of Qwen2.5-VL's tower have names that language layers have too.
NOT_THE_TOWER = r"(.*\.)?visual\..*"


def freeze_tower(model: Any) -> None:
    """Keep the part that sees images, its projector included, as it is. Nothing to do where there is none."""
    if (tower := vision_tower(model)) is not None:
        tower.requires_grad_(requires_grad=False)


def language_only(adapter: Any, model: Any) -> Any:
    """Return PEFT's settings of an adapter, kept off the part of the model that sees images.

    Args:
        adapter: the settings, or None for full fine-tuning.
        model: without an adapter.
    """
    tower = vision_tower(model)
    if adapter is None or tower is None:
        return adapter
    targets = adapter.target_modules
    names = {name.rpartition(".")[2] for name, _ in tower.named_modules()}
    # PEFT warns where nothing is to be excluded.
    if isinstance(targets, str) or not names.isdisjoint(targets):
        adapter.exclude_modules = NOT_THE_TOWER
    return adapter


def check_tower(model: Any) -> None:
    """Check before the first step that no adapter sits on the part that sees images.

    Raises:
        WinnowError: naming the first layer that has one.
    """
    tower = vision_tower(base_of(model))
    adapted = [name for name, _ in tower.named_parameters() if "lora_" in name] if tower is not None else []
    if adapted:
        raise WinnowError(
            "lora_target_modules", f"would adapt the vision tower ({adapted[0]})", "name language layers only"
        )
