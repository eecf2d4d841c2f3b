"""Preparing the base model of a study: tiny, a local folder, or a name on the hub. Safetensors only, no remote code."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
import transformers
from huggingface_hub import errors
from transformers import AutoTokenizer

from winnow.core.base_model import MODEL_FILE
from winnow.core.config.models import Model
from winnow.core.errors import WinnowError
from winnow.core.files import write_json
from winnow.core.log import log
from winnow.core.model_folder import INDEX, refuse_code, weight_hashes
from winnow.training.tiny_models import build_tiny

# What a tokenizer and a configuration consist of; never weights, never code.
SMALL_FILES = ("*.json", "*.jinja", "*.txt", "*.model")


def prepare_model(settings: Model, texts: Sequence[Path], folder: Path) -> dict[str, Any]:
    """Fill `folder` with tokenizer and config.json (for a tiny model also weights), and return facts for the manifest.

    The folder is made beside its place and renamed in, so that it is never half full.

    Raises:
        WinnowError: if the model cannot be had, or needs a pickle or code of its own.
    """
    transformers.utils.logging.disable_progress_bar()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as draft_name:
        draft = Path(draft_name) / folder.name
        draft.mkdir()
        if settings.tiny is not None:
            build_tiny(settings.tiny, texts, draft)
            source: dict[str, Any] = {"kind": "tiny", "source": ".", "revision": None}
        elif settings.path is not None:
            source = _from_folder(Path(settings.path), draft)
        else:
            assert settings.name is not None
            source = _from_hub(settings.name, settings.revision, draft)
        check_folder(draft, weights=settings.tiny is not None)
        write_json(draft / MODEL_FILE, source | {"tokenizer_class": tokenizer_class(draft)})
        weights = Path(settings.path) if settings.path is not None else draft
        hashes = weight_hashes(weights)
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    return {"model": source | ({"source": settings.path} if settings.path else {}), "weights": hashes}


def check_folder(folder: Path, *, weights: bool) -> None:
    """Check that a model's folder can be loaded without running anything from it.

    Args:
        folder: with config.json and tokenizer files.
        weights: whether it must hold *.safetensors too.

    Raises:
        WinnowError: naming what is missing or not allowed.
    """
    if not (folder / "config.json").is_file():
        raise WinnowError(folder / "config.json", "there is no such file", "give the folder of a transformers model")
    if weights and not any(folder.glob("*.safetensors")):
        raise WinnowError(folder, "holds no *.safetensors", "save the model with save_pretrained(), as safetensors")
    refuse_code(folder)


def tokenizer_class(folder: Path) -> str | None:
    """Return the class that AutoTokenizer chooses for a folder, by its name in transformers.

    None where it finds no tokenizer, which a judge's engine may read all the same, or none of transformers' own.
    """
    try:
        chosen = type(AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False))
    except (OSError, ValueError, ImportError):
        return None
    return chosen.__name__ if getattr(transformers, chosen.__name__, None) is chosen else None


def _copy_small_files(source: Path, folder: Path) -> None:
    for pattern in SMALL_FILES:
        for file in sorted(source.glob(pattern)):
            if not file.name.endswith(INDEX):  # belongs to the weights, which stay where they are
                shutil.copyfile(file, folder / file.name)


def _from_folder(source: Path, folder: Path) -> dict[str, Any]:
    if not source.is_dir():
        raise WinnowError(f"models key path: {source}", "there is no such folder", "check the path")
    check_folder(source, weights=True)
    _copy_small_files(source, folder)
    return {"kind": "path", "source": str(source.resolve()), "revision": None}


def _from_hub(name: str, revision: str | None, folder: Path) -> dict[str, Any]:
    """Resolve the revision and fetch tokenizer and configuration; the weights come when they are trained."""
    place = f"models key name: {name}" + (f" at {revision}" if revision else "")
    try:
        info = huggingface_hub.HfApi().model_info(name, revision=revision)
        files = [sibling.rfilename for sibling in info.siblings or ()]
        if not any(file.endswith(".safetensors") for file in files):
            raise WinnowError(place, "has no *.safetensors on the hub", "use a model that has")
        log(f"{name}: commit {info.sha}")
        fetched = huggingface_hub.snapshot_download(name, revision=info.sha, allow_patterns=list(SMALL_FILES))
    except errors.GatedRepoError as error:
        fix = "accept its licence on the hub and log in with `hf auth login`"
        raise WinnowError(place, "may only be read by those who accepted its licence", fix) from error
    except errors.RevisionNotFoundError as error:
        raise WinnowError(place, "the hub has no such revision of this model", "check the commit") from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        fix = "check the spelling (owner/model), or log in with `hf auth login` if it is private"
        raise WinnowError(place, "the hub knows no such model", fix) from error
    except (OSError, errors.HTTPError) as error:  # type: ignore[attr-defined] # the error of whichever client it uses
        fix = "run this step where the network can be reached, or download the model and give its folder as path"
        raise WinnowError(place, f"cannot be read from the hub: {type(error).__name__}", fix) from error
    _copy_small_files(Path(fetched), folder)
    return {"kind": "hub", "source": name, "revision": info.sha}
