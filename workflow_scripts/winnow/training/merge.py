"""Merging a LoRA adapter into the model that it was trained on, so that the next step visibly starts from one model."""

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from winnow.core.errors import WinnowError
from winnow.core.files import read_json
from winnow.core.locks import held
from winnow.core.model_folder import refuse_code, weight_hashes
from winnow.models.weights import load_model
from winnow.training.finished import finished_folder, save_finished
from winnow.training.loading import weights_of

TOLERANCE = 1e-4  # of the largest logit, in float32
PROBE_TOKENS = 64


def _probe(vocabulary: int) -> torch.Tensor:
    """Return token ids spread over the vocabulary. Shape: [1, PROBE_TOKENS]."""
    return (torch.arange(PROBE_TOKENS) * 7919 % vocabulary).unsqueeze(0)


@torch.no_grad()
def _logits(model: Any) -> torch.Tensor:
    return model(input_ids=_probe(model.config.get_text_config().vocab_size), use_cache=False).logits.float()


def merge_adapter(manifest: dict[str, Any], *, model: Path, parent: Path | None, checkpoints: Path) -> dict[str, Any]:
    """Merge a run's adapter into its base, save it as the run's model/, and return facts for the manifest.

    Merging is done in float32; the merged weights are kept in the precision of the recipe.

    Args:
        manifest: of the run, which names the adapter's weights by hash.
        model: folder of the base model.
        parent: the finished model of the run's parent, or None if it started from the base model.
        checkpoints: folder of the run, with adapter/.

    Raises:
        WinnowError: if the adapter is not the one of the manifest, or the merged model answers otherwise.
    """
    adapter = finished_folder(checkpoints, adapter=True)
    refuse_code(adapter)
    remedy = "train the run again: run snakemake with --forcerun on its manifest"
    if weight_hashes(adapter) != manifest["weights"]:
        raise WinnowError(adapter, "is not the adapter that the run's manifest recorded", remedy)
    with held(checkpoints / "writer.lock"):
        base = load_model(weights_of(model, parent), dtype="float32", attention=None)
        tuned = PeftModel.from_pretrained(base, str(adapter)).eval()
        before = _logits(tuned)
        merged = tuned.merge_and_unload(safe_merge=True)
        difference = float((_logits(merged) - before).abs().max() / before.abs().max())
        if not difference <= TOLERANCE:
            raise WinnowError(adapter, f"merged logits differ by {difference:.2g} of the largest", "report this")
        dtype = str(manifest["settings"]["recipe"].get("dtype", "float32"))
        if dtype != "auto":
            merged = merged.to(getattr(torch, dtype))
        weights = save_finished(merged, model, finished_folder(checkpoints, adapter=False), manifest["run"]["pixels"])
    layers = sorted(read_json(adapter / "adapter_config.json")["target_modules"])
    return {"weights": weights, "adapter": manifest["weights"], "layers": layers, "dtype": dtype}
