"""What a training starts from and resumes from: the weights that it names, all of them, and the reference proven."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import set_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file
from transformers.core_model_loading import revert_weight_conversion

from winnow.core.base_model import BaseModel, read_base_model
from winnow.core.errors import WinnowError
from winnow.core.files import read_json
from winnow.core.model_folder import refuse_code, weight_hashes
from winnow.models.weights import load_model
from winnow.training.sharding import is_sharded, whole_state
from winnow.training.world import World

WEIGHTS_FILE = "weights.json"  # in a finished model: the hash of each file of weights
_DEFECT = "both must be loaded from the parent's model folder; this is a defect of Winnow, please report it"


def weights_of(model: Path, parent: Path | None) -> BaseModel:
    """Return where a run starts from: its parent's finished model, or else the base model.

    Raises:
        WinnowError: if the parent's folder is not a finished, merged model, or a folder holds what could run.
    """
    refuse_code(model)
    if parent is None:
        base = read_base_model(model)
        if base.revision is None:
            refuse_code(Path(base.source))
        return base
    if not (parent / "config.json").is_file():
        fix = "train the parent first: run snakemake on its name"
        if (parent / "adapter_config.json").is_file():
            fix = "a LoRA parent is merged before anything reads it (merge_adapter): give its model/ folder"
        raise WinnowError(parent / "config.json", "there is no such file, so this is no finished model", fix)
    refuse_code(parent)
    if read_json(parent / WEIGHTS_FILE) != weight_hashes(parent):
        raise WinnowError(parent, "does not hold the weights that its run made", "train it again, with --forcerun")
    return BaseModel(str(parent), None)


def base_of(model: Any) -> Any:
    """Return the model below an adapter, or the model itself."""
    model = getattr(model, "module", model)  # DeepSpeed wraps a reference
    return model.get_base_model() if hasattr(model, "peft_config") else model


def _named_weights(model: Any, world: World) -> dict[str, Any]:
    """Return the tensors of a model by the names that it is saved under, without an adapter.

    A Qwen2.5-VL is saved under other names than it has in memory; save_pretrained turns them back in this way. Weights
    that lie in parts are whole in the first process, and nothing in the others.
    """
    base = base_of(model)
    state = whole_state(base, trained_only=False, keep=world.is_first) if is_sharded(base) else base.state_dict()
    plain = {name.replace(".base_layer.", "."): tensor for name, tensor in state.items() if ".lora_" not in name}
    return dict(revert_weight_conversion(base, plain))


def check_reference(policy: Any, reference: Any | None, folder: Path | None, world: World) -> None:
    """Check before the first step that policy and reference are the weights that the run names.

    A DPO loss of ln 2 shows that they agree, not that they are the right ones: both may be the
    wrong model, so they are also compared with the files.

    Args:
        policy: the model to train; under an adapter, its frozen base is what is compared.
        reference: the reference, or None where the policy without its adapter is the reference.
        folder: the local folder that the run starts from; None for a model of the hub.
        world: the processes that train together; weights that lie in parts are compared by the first.

    Raises:
        WinnowError: naming the first weight that differs.
    """
    trained = _named_weights(policy, world)
    expected = _named_weights(reference, world) if reference is not None else {}
    if (wrong := world.told(lambda: _wrong_weight(trained, expected, folder))) is not None:
        raise WinnowError(*wrong, _DEFECT)


def _wrong_weight(
    trained: Mapping[str, Any], expected: Mapping[str, Any], folder: Path | None
) -> tuple[str, str] | None:
    """Return where and how weights differ from the reference's or from the files of a folder, or None."""
    for name, tensor in expected.items():
        if name not in trained or not torch.equal(trained[name].cpu(), tensor.cpu()):
            return "the reference model", f"differs from the policy before the first step, in {name}"
    for file in sorted(folder.glob("*.safetensors")) if folder is not None else ():
        with safe_open(str(file), "pt") as stored:
            for name in stored.keys():  # noqa: SIM118 - not a dictionary
                kept = stored.get_tensor(name)
                if name not in trained or not torch.equal(trained[name].cpu(), kept.to(trained[name].dtype)):
                    return (
                        "the policy and the reference model",
                        f"are not what {file} holds, first seen in {name}",
                    )
    return None


def restore_weights(model: Any, checkpoint: Path) -> None:
    """Load a checkpoint's weights into a model, all of them or none.

    Trainer reloads with strict=False: where names differ (Qwen2.5-VL) nothing is loaded, and only a
    warning says so (huggingface/transformers#43701). from_pretrained knows the old names.

    Raises:
        WinnowError: if a weight is missing, left over or of another shape.
    """
    if hasattr(model, "peft_config"):
        found = set_peft_model_state_dict(model, load_file(str(checkpoint / "adapter_model.safetensors")))
        wrong = [*found.unexpected_keys, *(key for key in found.missing_keys if "lora_" in key)]
        if wrong:
            raise WinnowError(checkpoint, f"its adapter does not fit the model: {wrong[0]}", "delete this checkpoint")
        return
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    source = load_model(BaseModel(str(checkpoint), None), dtype=dtype, attention=None)
    with torch.no_grad():
        model.load_state_dict(source.state_dict(), strict=True)
