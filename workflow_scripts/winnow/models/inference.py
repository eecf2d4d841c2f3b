"""Loading a model to ask it: safetensors only, no remote code, every weight accounted for, equal results each time."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from winnow.core.errors import WinnowError
from winnow.core.model_folder import source_of_weights
from winnow.models.processors import load_processor
from winnow.models.tokenizers import load_tokenizer
from winnow.models.weights import load_model as load_weights


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode with the tokenizer of its base, and the processor where it is shown images."""

    model: Any
    tokenizer: Any
    device: str
    dtype: str
    processor: Any | None = None


def device_for(gpus: int) -> str:
    """Return where to compute, and make that place give equal results each time.

    On a CPU one thread is used: with several, sums are taken in an order that depends on the machine.

    Raises:
        WinnowError: if GPUs are asked for and there is none.
    """
    if gpus and not torch.cuda.is_available():
        raise WinnowError(
            "gpu", f"is {gpus}, and PyTorch sees no GPU here", "set it to 0, or run this rule on a GPU node"
        )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_num_threads(1)
    return "cuda" if gpus else "cpu"


def load_model(
    model_dir: Path, weights: Path | None, device: str, pixels: Mapping[str, int] | None = None
) -> LoadedModel:
    """Load a trained model from `weights`, or else the base model that `model_dir` describes.

    All models of a device are computed in one precision, so that runs differ by training alone.

    Args:
        model_dir: folder of the base model, with its tokenizer.
        weights: the finished model of a run.
        device: cpu or cuda.
        pixels: the area of images, {max_pixels, min_pixels}; None or empty where the modality shows none.

    Raises:
        WinnowError: if there are no safetensors, a folder holds what could run, or a weight is missing, left over or
            of another shape.
    """
    source = source_of_weights(model_dir, weights)
    dtype = "bfloat16" if device == "cuda" else "float32"
    model = load_weights(source, dtype=dtype, attention=None).eval().to(device)
    processor = load_processor(model_dir, **pixels) if pixels else None
    tokenizer = processor.tokenizer if processor else load_tokenizer(model_dir)
    return LoadedModel(model, tokenizer, device, dtype, processor)
