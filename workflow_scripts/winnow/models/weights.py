"""Loading a model: safetensors only, no remote code, every weight accounted for, its class by its config.json."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, Qwen2_5_VLForConditionalGeneration

from winnow.core.base_model import BaseModel
from winnow.core.errors import WinnowError


def is_vision(config: Any) -> bool:
    """Say whether a model of this configuration sees images."""
    return getattr(config, "vision_config", None) is not None


def vision_tower(model: Any) -> Any | None:
    """Return the part of a model that reads images, its projector included, or None where there is none."""
    return getattr(model.base_model, "visual", None)


def load_model(source: BaseModel, *, dtype: str, attention: str | None) -> Any:
    """Load a language model: Qwen2.5-VL where its config.json has a vision_config, else a causal one.

    Raises:
        WinnowError: if it cannot be found, sees images and is no Qwen2.5-VL, or a weight is missing, left over or of
            another shape: transformers only warns, and goes on with random numbers in its place.
    """
    local = Path(source.source).is_dir()
    if local and not any(Path(source.source).glob("*.safetensors")):
        raise WinnowError(source.source, "holds no *.safetensors", "make the model again: --forcerun its rule")
    where = {"revision": source.revision or "main", "local_files_only": local, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(source.source, **where)
        if is_vision(config) and config.model_type != "qwen2_5_vl":
            raise WinnowError(source.source, f"is a {config.model_type}, which sees images", "use a Qwen2.5-VL")
        kind = Qwen2_5_VLForConditionalGeneration if is_vision(config) else AutoModelForCausalLM
        model, found = kind.from_pretrained(
            source.source,
            **where,
            use_safetensors=True,
            dtype=dtype if dtype == "auto" else getattr(torch, dtype),
            attn_implementation=attention,
            output_loading_info=True,
        )
    except OSError as error:
        if error.errno is not None:
            raise
        fix = "check the name and the network, or give a local folder as path"
        raise WinnowError(source.source, f"cannot be loaded: {str(error).splitlines()[0]}", fix) from error
    # Under ZeRO-3 transformers also keeps the conversions that no weight needed, and would save every weight of a
    # Qwen2.5-VL under a wrong name (transformers/integrations/deepspeed.py 5.23.0, _load_state_dict_into_zero3_model).
    if conversions := getattr(model, "_weight_conversions", None):
        model._weight_conversions = [conversion for conversion in conversions if conversion.was_used()]
    wrong = {key: sorted(map(str, found[key])) for key in ("missing_keys", "unexpected_keys", "mismatched_keys")}
    if any(wrong.values()):
        listed = "; ".join(f"{key}: {', '.join(names[:3])}" for key, names in wrong.items() if names)
        raise WinnowError(source.source, f"its weights do not fit its config.json ({listed})", "use a whole model")
    return model
