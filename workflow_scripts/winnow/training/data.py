"""Rows for a trainer, and the proof that none was cut or lost on the way into it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset

from winnow.core.errors import WinnowError

COLUMNS = {"sft": ["prompt", "completion"], "dpo": ["prompt", "chosen", "rejected"]}


@dataclass(frozen=True)
class RowLength:
    """Tokens of a row: of its prompt with the assistant's header, and of each response with its end."""

    prompt: int
    responses: tuple[int, ...]

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence made of this row."""
        return self.prompt + max(self.responses)


def load_rows(file: Path, stage: str, cache: Path) -> Any:
    """Return a rendered table as a dataset that lies on disk, with the columns that TRL reads.

    Args:
        file: train.parquet or val.parquet.
        stage: sft or dpo.
        cache: a folder for the dataset's own files; they do not outlive the training.
    """
    return Dataset.from_parquet(str(file), columns=COLUMNS[stage], cache_dir=str(cache), split=file.stem)


def row_lengths(rows: Any, tokenizer: Any, stage: str) -> list[RowLength]:
    """Count the tokens of each row by the tokenizer's own chat template, apart from TRL's own preparation."""

    def count(messages: list[dict[str, str]], *, header: bool) -> int:
        return len(tokenizer.apply_chat_template(messages, add_generation_prompt=header, return_dict=False))

    lengths = []
    for row in rows:
        prompt = count(row["prompt"], header=True)
        responses = (count(row["prompt"] + row[column], header=False) for column in COLUMNS[stage][1:])
        lengths.append(RowLength(prompt, tuple(whole - prompt for whole in responses)))
    return lengths


def check_fits(lengths: list[RowLength], limit: int | None, file: Path) -> None:
    """Check that every row fits the model.

    Raises:
        WinnowError: naming the first row that is longer than the model's positions.
    """
    for index, length in enumerate(lengths):
        if limit is not None and length.longest > limit:
            raise WinnowError(
                f"{file}, row {index}",
                f"has {length.longest} tokens, the model takes {limit}",
                "lower the modality's context and render again",
            )
        if min(length.responses) < 2:  # at least one token and the end
            raise WinnowError(f"{file}, row {index}", "has a response without tokens", "validate the dataset again")


def check_nothing_lost(prepared: Any, lengths: list[RowLength], config: Any, stage: str, file: Path) -> None:
    """Check that TRL's prepared rows are all there and whole: it truncates and filters in silence.

    Args:
        prepared: the trainer's dataset.
        lengths: of the rows that were given to it, in their order.
        config: TRL's settings.
        stage: sft or dpo.
        file: names the rows in an error.

    Raises:
        WinnowError: naming the first row that was dropped, cut or masked.
    """
    fix = "this is a defect of Winnow or TRL, please report it"
    if len(prepared) != len(lengths):
        raise WinnowError(file, f"has {len(lengths)} rows, TRL kept {len(prepared)} of them", fix)
    limit = config.max_length
    found: tuple[int, ...]
    wanted: tuple[int, ...]
    for index, (row, length) in enumerate(zip(prepared, lengths, strict=True)):
        if stage == "sft":
            trained = sum(label != -100 for label in row["labels"])
            found = (len(row["input_ids"]), trained)
            masked = config.completion_only_loss is not False
            wanted = (length.longest, length.responses[0] if masked else length.longest)
        else:
            found = (len(row["prompt_ids"]), len(row["chosen_ids"]), len(row["rejected_ids"]))
            wanted = (length.prompt, *length.responses)
        # The collator of DPO cuts later, so a limit below a row's length is a cut to come.
        if found != wanted or (limit is not None and limit < length.longest):
            raise WinnowError(f"{file}, row {index}", f"TRL would train on {found} tokens instead of {wanted}", fix)
