"""Responses by vLLM's offline engine, which starts with the first prompt: a job that is finished starts none.

Same settings, same machine, same prompts: same bytes. The engine's schedule, and with it the last bits of its numbers,
depends on what is handed over together, so prompts go in chunks of one size, and the prefix cache is emptied before
each: a run that was killed and goes on at a chunk's start computes what an undisturbed one computes.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from winnow.core.config.runs import Generation
from winnow.core.manifest import installed
from winnow.core.model_folder import source_of_weights
from winnow.generation.sampling import Request, Sample, read_sample
from winnow.models.engine import start_engine
from winnow.models.tokenizers import load_tokenizer
from winnow.numerics.tokens import pad_id

MAX_BATCHED_TOKENS = 8192  # of several prompts; one may be longer


class VllmBackend:
    """Generates with a model in vLLM."""

    chunk_prompts = 32

    def __init__(self, model: Path, weights: Path | None, settings: Generation, longest: int) -> None:
        """Remember what to start.

        Args:
            model: folder of the base model, with its tokenizer.
            weights: the finished model of a run; None for the base model itself.
            settings: of the study.
            longest: tokens of the longest prompt.
        """
        self._model = model
        self._source = source_of_weights(model, weights)
        self._settings = settings
        self._longest = longest + settings.max_new_tokens
        self._tokenizer = load_tokenizer(model)

    @property
    def identity(self) -> Mapping[str, Any]:
        """The engine, in which precision it computes, and what it is given at once."""
        software = installed(["torch", "transformers", "tokenizers"]) | {"vllm": version("vllm")}
        return {"software": software, "dtype": self._dtype, "max_model_len": self._longest}

    @property
    def _dtype(self) -> str:
        return "bfloat16" if self._settings.gpu else "float32"

    def generate(self, requests: Sequence[Request]) -> list[Sample]:
        """Return a response to each request, in their order."""
        self._engine.reset_prefix_cache()
        stops = sorted({int(self._tokenizer.eos_token_id), pad_id(self._tokenizer)})
        results = self._engine.generate(
            [{"prompt_token_ids": list(one.prompt)} for one in requests],
            [self._sampling(one.seed, stops) for one in requests],
            use_tqdm=False,
        )
        return [read_sample(result.outputs[0].token_ids, stops, self._tokenizer) for result in results]

    def _sampling(self, seed: int | None, stops: list[int]) -> Any:
        from vllm import SamplingParams  # noqa: PLC0415 - 5 s, and only where something is generated

        settings = self._settings
        drawn = {"temperature": settings.temperature, "top_p": settings.top_p, "seed": seed}
        return SamplingParams(
            **({"temperature": 0.0} if seed is None else drawn),
            max_tokens=settings.max_new_tokens,
            stop_token_ids=stops,
            detokenize=False,
        )

    @cached_property
    def _engine(self) -> Any:
        return start_engine(
            self._source,
            gpus=self._settings.gpu,
            tokenizer=str(self._model),
            dtype=self._dtype,
            max_model_len=self._longest,
            seed=self._settings.seed,
            # A prompt in one piece: with seeds, one in several kills the engine on a CPU (vLLM 0.32).
            enable_chunked_prefill=False,
            max_num_batched_tokens=max(self._longest, MAX_BATCHED_TOKENS),
            generation_config="vllm",  # not the model's own, which may differ between runs
        )
