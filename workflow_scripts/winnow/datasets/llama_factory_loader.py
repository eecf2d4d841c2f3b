"""Read an export as LLaMA-Factory does, and stop where it would skip, misread or fail.

Re-implemented from the rules of src/llamafactory/data/{parser,converter,loader}.py at commit ff6d4d12.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from winnow.core.errors import WinnowError
from winnow.core.files import read_json
from winnow.core.tables import Row
from winnow.datasets.export_llama_factory import name_of
from winnow.datasets.export_tables import IMAGE_MARK, RenderedTable, answer_of, marked

NEVER_SHOWN = ("<video>", "<audio>")
TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
COLUMNS = ("messages", "system", "tools", "images", "videos", "audios", "chosen", "rejected", "kto_tag")
ENTRY_KEYS = {"file_name", "formatting", "ranking", "columns", "tags", "split", "num_samples"}
DEFAULT_COLUMNS = {"messages": "conversations"}

# The arguments of its command line that our files may use; any other key stops it.
KNOWN_KEYS = frozenset(
    {
        "model_name_or_path",
        "model_revision",
        "adapter_name_or_path",
        "trust_remote_code",
        "flash_attn",
        "disable_gradient_checkpointing",
        "export_dir",
        "template",
        "dataset",
        "eval_dataset",
        "dataset_dir",
        "cutoff_len",
        "train_on_prompt",
        "packing",
        "neat_packing",
        "stage",
        "do_train",
        "finetuning_type",
        "lora_rank",
        "lora_alpha",
        "lora_dropout",
        "lora_target",
        "pref_beta",
        "pref_loss",
        "dpo_label_smoothing",
        "ld_alpha",
        "ref_model",
        "output_dir",
        "per_device_train_batch_size",
        "per_device_eval_batch_size",
        "gradient_accumulation_steps",
        "num_train_epochs",
        "max_steps",
        "learning_rate",
        "lr_scheduler_type",
        "optim",
        "weight_decay",
        "max_grad_norm",
        "warmup_ratio",
        "warmup_steps",
        "bf16",
        "logging_steps",
        "eval_strategy",
        "eval_steps",
        "save_strategy",
        "save_steps",
        "save_total_limit",
        "seed",
        "report_to",
        "ddp_timeout",
        "image_max_pixels",
        "image_min_pixels",
    }
)


@dataclass(frozen=True)
class LoadedRow:
    """What training would get of a row: system, the turns before the answer, one answer or two, and files of images."""

    id: str
    system: str
    turns: tuple[tuple[str, str], ...]
    answers: tuple[str, ...]
    images: tuple[Path, ...] = ()


def _refuse(place: str, problem: str) -> WinnowError:
    return WinnowError(place, problem, "this is a defect of the export: LLaMA-Factory would not read what TRL reads")


def _array(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield line and row of a JSON array that has one row on each line."""
    with path.open(encoding="utf-8") as file:
        if file.readline() != "[\n":
            raise _refuse(str(path), "does not begin like an array")
        for number, line in enumerate(file, 2):
            if line == "]\n":
                return
            try:
                yield number, json.loads(line.rstrip("\n").removesuffix(","))
            except ValueError as error:
                raise _refuse(f"{path}, line {number}", f"is not JSON ({error})") from error
    raise _refuse(str(path), "does not end like an array")


def _type_of(value: Any) -> Any:
    """Return the shape of a JSON value, in which the json reader of `datasets` wants every row of a column to agree."""
    if isinstance(value, dict):
        return tuple(sorted((key, _type_of(inner)) for key, inner in value.items()))
    if isinstance(value, list):
        return ("list", *sorted({_type_of(inner) for inner in value}, key=repr))
    return type(value).__name__


class _Attributes:
    """An entry of dataset_info.json with its rule on what is absent."""

    def __init__(self, entry: Mapping[str, Any], place: str) -> None:
        if unknown := entry.keys() - ENTRY_KEYS:
            raise _refuse(place, f"unknown keys {sorted(unknown)}")
        if entry.get("formatting") != "sharegpt":
            raise _refuse(place, f"formatting is {entry.get('formatting')}, which reads other columns or adds words")
        self.ranking = bool(entry.get("ranking", False))
        columns = entry.get("columns", DEFAULT_COLUMNS)
        self.columns = {column: columns.get(column) for column in COLUMNS}
        self.tags = {tag: entry["tags"].get(tag) for tag in TAGS} if "tags" in entry else TAGS
        self.place = place


def _images(row: Row, attributes: _Attributes, out: Path) -> tuple[Path, ...]:
    """Find a row's images as _find_medias does, in the folder of the datasets; elsewhere it would only warn."""
    column = attributes.columns["images"]
    files = [out / path for path in (row.get(column) or [] if column else [])]
    if absent := [str(file) for file in files if not file.is_file()]:
        raise _refuse(attributes.place, f"its image {absent[0]} is not a file")
    return tuple(file.resolve() for file in files)


def _convert(row: Row, attributes: _Attributes, out: Path) -> LoadedRow:
    """Convert a row as SharegptDatasetConverter does; what it would skip with a warning is an error here."""
    tags, place, columns = attributes.tags, attributes.place, attributes.columns
    messages = list(row[columns["messages"]]) if columns["messages"] in row else []
    system = ""
    if messages and tags["system_tag"] and messages[0][tags["role_tag"]] == tags["system_tag"]:
        system = messages.pop(0)[tags["content_tag"]]
    accepted = ((tags["user_tag"], tags["observation_tag"]), (tags["assistant_tag"], tags["function_tag"]))
    turns = []
    for index, message in enumerate(messages):
        role = message.get(tags["role_tag"])
        if role not in accepted[index % 2]:
            raise _refuse(place, f"turn {index} is of {role}: the row would be skipped")
        turns.append((role, message[tags["content_tag"]]))
    if len(turns) % 2 != int(attributes.ranking):
        raise _refuse(place, f"{len(turns)} turns have the wrong parity: the row would be skipped")
    images = _images(row, attributes, out)
    if not attributes.ranking:
        return LoadedRow(row["id"], system, tuple(turns[:-1]), (turns[-1][1],) if turns else (), images)
    sides = [row.get(columns[side]) if columns[side] else None for side in ("chosen", "rejected")]
    if not all(isinstance(side, dict) for side in sides):
        raise _refuse(place, "chosen and rejected are not objects: the pair would be read as one answer")
    if any(side[tags["role_tag"]] not in accepted[1] for side in sides):  # type: ignore[index]
        raise _refuse(place, "chosen or rejected is not said by gpt")
    answers = tuple(side[tags["content_tag"]] for side in sides)  # type: ignore[index]
    return LoadedRow(row["id"], system, tuple(turns), answers, images)


def load(out: Path, name: str) -> Iterator[LoadedRow]:
    """Yield the rows of a registered dataset as training would get them."""
    info = read_json(out / "dataset_info.json")
    if name not in info:
        raise _refuse(f"{out / 'dataset_info.json'}", f"does not define {name}")
    file = out / info[name]["file_name"]
    if not file.is_file():
        raise _refuse(str(file), "is not a file (of a folder every file is read)")
    types: dict[str, Any] = {}
    for number, row in _array(file):
        place = f"{name}, {file.name}, line {number}"
        attributes = _Attributes(info[name], place)
        for column, value in row.items():
            if value is not None and types.setdefault(column, _type_of(value)) != _type_of(value):
                raise _refuse(place, f"column {column} has another type than in the rows before")
        loaded = _convert(row, attributes, out)
        said = [*(text for _, text in loaded.turns), *loaded.answers]
        if not all(isinstance(text, str) and text for text in said):
            raise _refuse(place, "a turn has no text")
        if any(mark in text for text in [loaded.system, *said] for mark in NEVER_SHOWN):
            raise _refuse(place, "a text holds a place for a video or sound that is not there")
        marks = sum(text.count(IMAGE_MARK) for text in [loaded.system, *said])
        if marks != len(loaded.images):
            raise _refuse(place, f"has {marks} places for {len(loaded.images)} images: one is not there")
        yield loaded


def check_table(out: Path, table: RenderedTable) -> int:
    """Compare an export row by row with the table that TRL reads, and return the number of rows.

    Raises:
        WinnowError: at the first difference.
    """
    name, count = name_of(table.dataset, table.modality, table.split), 0
    if table.context is None:
        raise WinnowError("--spec, key context", f"lacks {table.modality}", "give the context of every modality")
    loaded = load(out, name)
    for row in table.rows():
        found, count = next(loaded, None), count + 1
        system = [marked(message["content"]) for message in row["prompt"] if message["role"] == "system"]
        turns = tuple(("human", marked(message["content"])) for message in row["prompt"] if message["role"] == "user")
        answers = tuple(answer_of(row, side) for side in table.sides)
        images = tuple(Path(path).resolve() for path in row.get("images") or ())
        wanted = LoadedRow(row[table.key], "".join(system), turns, answers, images)
        if found != wanted:
            raise _refuse(f"{name}, {table.key} {row[table.key]}", "differs from the row that TRL reads")
        if (tokens := table.tokens(row)) > table.context:
            raise _refuse(f"{name}, {row[table.key]}", f"has {tokens} tokens, cutoff_len {table.context} would cut it")
    if next(loaded, None) is not None:
        raise _refuse(name, f"has more than the {count} rows that TRL reads")
    return count


def check_training_file(path: Path, names: Mapping[str, int]) -> None:
    """Check a training file's keys and datasets.

    Raises:
        WinnowError: naming the key.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if unknown := content.keys() - KNOWN_KEYS:
        raise _refuse(str(path), f"unknown keys {sorted(unknown)}")
    for key in ("dataset", "eval_dataset"):
        if key in content and not names.get(content[key]):
            raise _refuse(f"{path}, key {key}", f"{content[key]} is not registered or has no rows")
