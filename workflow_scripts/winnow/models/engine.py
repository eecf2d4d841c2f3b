"""vLLM's offline engine, started the same way by whoever asks a model: judges, and what generates responses."""

import os
from importlib.metadata import version
from typing import Any

from winnow.core.base_model import BaseModel
from winnow.core.log import log

_CPU_CACHE_BYTES = 2 << 30
# A block is the least that the prefix cache shares; the default on a CPU, 128 tokens, is half a short review.
_CPU_ENGINE: dict[str, Any] = {"kv_cache_memory_bytes": _CPU_CACHE_BYTES, "block_size": 32, "enforce_eager": True}


def start_engine(source: BaseModel, *, gpus: int, **options: Any) -> Any:
    """Start the engine of a model whose folders hold nothing that could run (core.model_folder).

    Args:
        source: where its weights are.
        gpus: over which it is divided; 0 for the CPU.
        options: further arguments of vllm.LLM; they go before what is set here.
    """
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    if gpus <= 1:
        # In this process: the schedule, and so the last digits, depend on nothing but the requests.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    from vllm import LLM  # noqa: PLC0415 - 5 s, and only where an engine is needed

    log(f"starting vllm {version('vllm')} with {source.source}")
    common = {
        "model": source.source,
        "revision": source.revision,
        "tokenizer_revision": source.revision,
        "tensor_parallel_size": max(1, gpus),
        "enable_prefix_caching": True,
        "load_format": "safetensors",
    }
    engine = LLM(**common | ({} if gpus else _CPU_ENGINE) | options)
    log("the engine is ready")
    return engine
