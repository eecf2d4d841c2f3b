"""Things planted in a model's folder that must never run, and a canary that shows if one did."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import torch


class _Canary:
    """Makes a folder when it is unpickled."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self):
        return (Path.mkdir, (self.sign,))


def pickled(sign: Path) -> bytes:
    """Return a pickle that makes the folder `sign` when it is read."""
    return pickle.dumps(_Canary(sign))


def torch_saved(file: Path, sign: Path) -> None:
    """Write what torch.save would, with the same canary inside."""
    torch.save({"state": _Canary(sign)}, file)


def _marked(name: str, key: str, value: object) -> Callable[[Path, Path], None]:
    def plant(folder: Path, _sign: Path) -> None:
        file = folder / name
        content = json.loads(file.read_text()) if file.is_file() else {}
        file.write_text(json.dumps(content | {key: value}))

    return plant


def _index(name: str) -> Callable[[Path, Path], None]:
    return _marked("model.safetensors.index.json", "weight_map", {"model.norm.weight": name})


def _evil_module(folder: Path, sign: Path) -> None:
    (folder / "modeling_evil.py").write_text(f"import pathlib\npathlib.Path({str(sign)!r}).mkdir()\n")


def _deep_module(folder: Path, sign: Path) -> None:
    (folder / "code" / "more").mkdir(parents=True)
    _evil_module(folder / "code" / "more", sign)


# what → how it is planted, and what must be said of it
PLANTED: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "weights as a pickle": (
        lambda folder, sign: torch_saved(folder / "pytorch_model.bin", sign),
        r"pytorch_model\.bin: is a pickle",
    ),
    "settings as a pickle": (
        lambda folder, sign: (folder / "training_args.bin").write_bytes(pickled(sign)),
        r"training_args\.bin: is a pickle",
    ),
    "a pickle under another name": (
        lambda folder, sign: (folder / "notes.txt").write_bytes(pickled(sign)),
        r"notes\.txt: is a pickle",
    ),
    "an archive of torch under another name": (
        lambda folder, sign: torch_saved(folder / "extra.safetensors", sign),
        r"extra\.safetensors: is a pickle",
    ),
    "a module": (_evil_module, r"modeling_evil\.py: is code"),
    "a module in a folder": (_deep_module, r"code/more/modeling_evil\.py: is code"),
    "auto_map of the model": (
        _marked("config.json", "auto_map", {"AutoModelForCausalLM": "modeling_evil.Model"}),
        r"config\.json: has auto_map",
    ),
    "auto_map below the top": (
        _marked("config.json", "text_config", {"auto_map": {"AutoConfig": "modeling_evil.Config"}}),
        r"config\.json: has auto_map",
    ),
    "auto_map of the tokenizer": (
        _marked("tokenizer_config.json", "auto_map", {"AutoTokenizer": ["modeling_evil.Tokenizer", None]}),
        r"tokenizer_config\.json: has auto_map",
    ),
    "auto_map of a processor": (
        _marked("preprocessor_config.json", "auto_map", {"AutoImageProcessor": "modeling_evil.Processor"}),
        r"preprocessor_config\.json: has auto_map",
    ),
    "a kernel of the hub": (
        _marked("config.json", "_attn_implementation", "kernels-community/evil"),
        r'config\.json: has _attn_implementation "kernels-community/evil": a kernel that would be fetched',
    ),
    "an index to a pickle": (_index("pytorch_model-00001.bin"), r"index\.json: says that weights lie in pytorch_model"),
    "an index to elsewhere": (
        _index("../other/model.safetensors"),
        r"index\.json: says that weights lie in \.\./other",
    ),
    "settings that are not JSON": (
        lambda folder, _: (folder / "generation_config.json").write_text("{"),
        r"generation_config\.json: is not JSON",
    ),
}
