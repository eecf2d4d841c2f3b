"""Loading what is evaluated: safetensors only, no remote code, every weight accounted for, equal results each time."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from winnow.core.base_model import BaseModel, read_base_model
from winnow.core.errors import WinnowError
from winnow.core.files import read_json
from winnow.core.ids import sha256_file
from winnow.core.model_folder import refuse_code
from winnow.models.processors import load_processor
from winnow.models.weights import load_model as load_weights


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode with the tokenizer of its base, and the processor where it is shown images."""

    model: Any
    tokenizer: Any
    device: str
    dtype: str
    processor: Any | None = None


def verify_weights(manifest: Path, folder: Path) -> dict[str, str]:
    """Check that the weights which a run's manifest names are in `folder`, and return their hashes.

    Raises:
        WinnowError: naming the first file that is gone or differs, and how to have it made again.
    """
    recorded: dict[str, str] = read_json(manifest).get("weights") or {}
    remedy = f"train it again: run snakemake with --forcerun {manifest}"
    if not recorded:
        raise WinnowError(manifest, "names no weights", remedy)
    for name, sha256 in sorted(recorded.items()):
        if not (folder / name).is_file():
            raise WinnowError(folder / name, f"is named in {manifest} and is gone", remedy)
        if sha256_file(folder / name) != sha256:
            raise WinnowError(folder / name, f"is not the file that {manifest} recorded", remedy)
    return recorded


def device_for(gpus: int) -> str:
    """Return where to compute, and make that place give equal results each time.

    On a CPU one thread is used: with several, sums are taken in an order that depends on the machine.

    Raises:
        WinnowError: if GPUs are asked for and there is none.
    """
    if gpus and not torch.cuda.is_available():
        raise WinnowError(
            "evaluation.gpu", f"is {gpus}, and PyTorch sees no GPU here", "set it to 0, or run this rule on a GPU node"
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
    base = BaseModel(str(weights), None) if weights else read_base_model(model_dir)
    local = Path(base.source).is_dir()
    if not local and (weights or base.revision is None):
        raise WinnowError(base.source, "is no folder", "make the model again: run snakemake with --forcerun on it")
    for folder in (model_dir, *((Path(base.source),) if local else ())):
        refuse_code(folder)
    dtype = "bfloat16" if device == "cuda" else "float32"
    model = load_weights(base, dtype=dtype, attention=None).eval().to(device)
    processor = load_processor(model_dir, **pixels) if pixels else None
    tokenizer = AutoTokenizer.from_pretrained(model_dir, local_files_only=True, trust_remote_code=False)
    return LoadedModel(model, processor.tokenizer if processor else tokenizer, device, dtype, processor)
