"""The engine that a study names, ready to generate with one model."""

from collections.abc import Mapping
from pathlib import Path

from winnow.core.config.runs import Generation
from winnow.generation.sampling import Backend


def make_backend(
    settings: Generation, model: Path, weights: Path | None, pixels: Mapping[str, int], longest: int
) -> Backend:
    """Return the engine. Each is imported where it is used: vLLM and a trainer's libraries live apart.

    Args:
        settings: of the study.
        model: folder of the base model, with its tokenizer.
        weights: the finished model of a run; None for the base model itself.
        pixels: the area of images, {max_pixels, min_pixels}; empty where none are shown.
        longest: tokens of the longest prompt.
    """
    if settings.backend == "vllm":
        from winnow.generation.vllm_backend import VllmBackend  # noqa: PLC0415

        return VllmBackend(model, weights, settings, longest)
    from winnow.generation.transformers_backend import TransformersBackend  # noqa: PLC0415
    from winnow.models.inference import device_for, load_model  # noqa: PLC0415

    return TransformersBackend(load_model(model, weights, device_for(settings.gpu), pixels), settings)
