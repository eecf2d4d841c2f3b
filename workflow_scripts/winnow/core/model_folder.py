"""Folders of models from elsewhere: nothing in them may run when they are loaded.

Weights are safetensors, which is data. A pickle can run anything while it is read; `auto_map` and *.py files are code
of the model's own; `_attn_implementation: owner/name` in config.json makes transformers fetch a kernel from the hub and
run it, whatever from_pretrained is told (modeling_utils.py 5.23, `_check_and_adjust_attn_implementation`).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from winnow.core.base_model import BaseModel, read_base_model
from winnow.core.errors import WinnowError
from winnow.core.files import read_json
from winnow.core.ids import sha256_file

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
CODE = (".py", ".pyc", ".so", ".pyd")
INDEX = ".index.json"  # which weight lies in which file
_MARKS = ("auto_map", "custom_pipelines")
_VOCABULARIES = ("tokenizer.json", "vocab.json", "added_tokens.json")  # large, and keys there are words


def refuse_code(folder: Path) -> None:
    """Check that a folder holds nothing that could run when it is loaded, below it too.

    Raises:
        WinnowError: naming the first file that could, and why.
    """
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if file.suffix in CODE:
            raise WinnowError(file, "is code, and code from a model's folder is never run", "remove it")
        if file.suffix in PICKLES or _is_pickle(file):
            raise WinnowError(file, "is a pickle, which can run code when it is loaded", "convert it to safetensors")
        if file.name.endswith(INDEX):
            _check_index(file)
        elif file.suffix == ".json" and file.name not in _VOCABULARIES:
            _check_settings(file)


def weight_hashes(folder: Path) -> dict[str, str]:
    """Return the hash of every file of weights."""
    return {file.name: sha256_file(file) for file in sorted(folder.glob("*.safetensors"))}


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


def source_of_weights(model: Path, weights: Path | None) -> BaseModel:
    """Return where a model's weights are, once it is sure that nothing beside them can run.

    Args:
        model: folder of the base model, as prepare_model made it.
        weights: the finished model of a run; None for the base model itself.

    Raises:
        WinnowError: if a folder is gone, or holds what could run.
    """
    source = BaseModel(str(weights), None) if weights else read_base_model(model)
    local = Path(source.source).is_dir()
    if not local and source.revision is None:
        raise WinnowError(source.source, "is no folder", "make the model again: run snakemake with --forcerun on it")
    for folder in (model, *((Path(source.source),) if local else ())):
        refuse_code(folder)
    return source


def identify_weights(model: Path, weights: Path | None, manifest: Path | None) -> dict[str, str]:
    """Return what tells a model from every other: the hash of each file of weights, or the commit on the hub.

    Args:
        model: folder of the base model.
        weights: the finished model of a run, which must be what its manifest recorded; None for the base model.
        manifest: of that run.

    Raises:
        WinnowError: see `source_of_weights` and `verify_weights`.
    """
    source = source_of_weights(model, weights)
    if weights is not None and manifest is not None:
        return verify_weights(manifest, weights)
    return weight_hashes(Path(source.source)) if source.revision is None else {source.source: source.revision}


def _is_pickle(file: Path) -> bool:
    """Say whether a file begins as a pickle does, or as the archive that torch.save writes, whatever its name."""
    with file.open("rb") as opened:
        start = opened.read(4)
    return (start[:1] == b"\x80" and start[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}) or start == b"PK\x03\x04"


def _content(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WinnowError(file, f"is not JSON ({error})", "use a whole model") from error


def _check_index(file: Path) -> None:
    """Check that an index names files beside it, and safetensors only."""
    content = _content(file)
    named = set((content.get("weight_map") or {}).values()) if isinstance(content, dict) else {"nothing"}
    for name in sorted(map(str, named)):
        if not name.endswith(".safetensors") or Path(name).name != name:
            raise WinnowError(file, f"says that weights lie in {name}", "use a model whose weights are safetensors")


def _keys(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key of a JSON value with what it holds, at any depth."""
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _keys(inner)
    if isinstance(value, dict):
        yield from value.items()


def _check_settings(file: Path) -> None:
    """Check that a settings file asks for no code."""
    for key, value in _keys(_content(file)):
        if key in _MARKS:
            problem = f"has {key}: the model brings code of its own, which is never run here"
            raise WinnowError(file, problem, "use a model that transformers knows by itself")
        if key.endswith(("attn_implementation", "experts_implementation")) and "/" in json.dumps(value):
            problem = f"has {key} {json.dumps(value)}: a kernel that would be fetched from the hub and run"
            raise WinnowError(file, problem, "remove that key")
