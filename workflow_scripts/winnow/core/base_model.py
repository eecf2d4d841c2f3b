"""Where the weights of a study's base model are: `models/<name>/model.json`, which `prepare_model.py` writes.

    {"kind": "tiny" | "path" | "hub", "source": str, "revision": str | null, "tokenizer_class": str | null}

`source` is what transformers' `from_pretrained` takes: "." for the folder of model.json itself, an
absolute path, or a name on the hub, which goes with the commit in `revision`. `tokenizer_class` is what AutoTokenizer
chooses for the folder.
"""

from dataclasses import dataclass
from pathlib import Path

from winnow.core.errors import WinnowError
from winnow.core.files import read_json

MODEL_FILE = "model.json"


@dataclass(frozen=True)
class BaseModel:
    """What to give to `from_pretrained`: a folder or a hub name, and the hub's commit."""

    source: str
    revision: str | None


def read_base_model(folder: Path) -> BaseModel:
    """Read where the weights of the base model prepared in `folder` are.

    Raises:
        WinnowError: if model.json is absent or does not say.
    """
    file = folder / MODEL_FILE
    if not file.is_file():
        raise WinnowError(file, "there is no such file", "make the model first: it is an output of prepare_model")
    content = read_json(file)
    if not isinstance(content, dict) or not content.get("source"):
        raise WinnowError(file, "does not name a source", "delete it and have prepare_model make it again")
    source = str(content["source"])
    return BaseModel(str(folder) if source == "." else source, content.get("revision"))
