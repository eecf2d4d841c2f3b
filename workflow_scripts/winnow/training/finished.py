"""The finished model of a run: saved whole or not at all, described by its manifest, found again by a second writer."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from winnow.core.files import read_json, write_json, write_text
from winnow.core.log import log
from winnow.core.model_folder import weight_hashes
from winnow.models.processors import copy_settings
from winnow.training.arguments import Request
from winnow.training.checkpoints import METRICS
from winnow.training.loading import WEIGHTS_FILE
from winnow.training.sharding import is_sharded, whole_state
from winnow.training.world import World

MANIFEST = "manifest.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
)
SPEC = "spec.json"
SOFTWARE = ["torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "safetensors", "deepspeed"]


def finished_folder(checkpoints: Path, *, adapter: bool) -> Path:
    """Return where a run's finished weights go: model/, or adapter/ where they are merged later."""
    return checkpoints / ("adapter" if adapter else "model")


def replace_folder(draft: Path, final: Path) -> None:
    """Put a finished folder in its place, the old one kept until then."""
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    draft.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def save_trained(model: Any, base: Path, final: Path, pixels: Mapping[str, int], world: World) -> dict[str, str]:
    """Save what processes trained together, whole, from the first of them; as save_finished."""
    adapted = hasattr(model, "peft_config")
    state = whole_state(model, trained_only=adapted, keep=world.is_first) if is_sharded(model) else None
    return world.told(lambda: save_finished(model, base, final, pixels, state))


def save_finished(
    model: Any, base: Path, final: Path, pixels: Mapping[str, int], state: dict[str, Any] | None = None
) -> dict[str, str]:
    """Save a model with tokenizer, configuration and generation settings, and return the hashes of its weights.

    Args:
        model: what was trained.
        base: folder of the base model, whose tokenizer files are copied byte by byte.
        final: the folder to make.
        pixels: the area of images in training, empty where there were none.
        state: its weights by name, where the model itself does not hold them whole.
    """
    draft = final.with_name(f".{final.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    settings = read_json(base / "config.json")
    cached = (settings.get("text_config") or settings).get("use_cache", True)
    model.config.use_cache = model.config.get_text_config().use_cache = cached  # off while training
    model.save_pretrained(draft, state_dict=state)
    if (adapter := draft / "adapter_config.json").is_file():
        # A path of this machine; the manifest names the base.
        write_json(adapter, read_json(adapter) | {"base_model_name_or_path": None})
        (draft / "README.md").unlink(missing_ok=True)  # PEFT's card template, with nothing filled in
    for name in TOKENIZER_FILES:
        if (base / name).is_file():
            shutil.copyfile(base / name, draft / name)
    if pixels:
        copy_settings(base, draft, **pixels)
    weights = weight_hashes(draft)
    write_json(draft / WEIGHTS_FILE, weights)
    replace_folder(draft, final)
    return weights


def is_finished(request: Request, folder: Path) -> bool:
    """Say whether a run of this identity ended before, and its weights are still what they were."""
    if not (folder / MANIFEST).is_file():
        return False
    weights: Mapping[str, str] = read_json(folder / MANIFEST)["weights"]
    final = finished_folder(request.checkpoints, adapter=request.run.is_adapter)
    if final.is_dir() and weight_hashes(final) == weights:
        return True
    log(f"WARNING: {final} is not what this run made; training it again")
    (folder / MANIFEST).unlink()
    return False


def publish(request: Request, folder: Path) -> None:
    """Copy a finished run's spec, metrics and manifest to the results, the manifest last."""
    for name, target in ((SPEC, request.spec_out), (METRICS, request.metrics), (MANIFEST, request.manifest)):
        write_text(target, (folder / name).read_text(encoding="utf-8"))
