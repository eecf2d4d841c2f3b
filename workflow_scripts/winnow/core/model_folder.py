"""Folders of models from elsewhere: nothing in them may run when they are loaded.

Weights are safetensors, which is data. A pickle can run anything while it is read; `auto_map` and *.py files are code
of the model's own; `_attn_implementation: owner/name` in config.json makes transformers fetch a kernel from the hub and
run it, whatever from_pretrained is told (modeling_utils.py 5.23, `_check_and_adjust_attn_implementation`).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from winnow.core.errors import WinnowError
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
