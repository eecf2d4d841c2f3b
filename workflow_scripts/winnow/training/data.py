"""Rows for a trainer, and the proof that none was cut or lost on the way into it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datasets import Dataset, Image, List

from winnow.core.errors import WinnowError
from winnow.core.ids import unit_interval
from winnow.core.tables import read_rows
from winnow.models.images import check_images
from winnow.models.processors import row_image_tokens
from winnow.training.packing import check_packed, trained_tokens

COLUMNS = {"sft": ["prompt", "completion"], "dpo": ["prompt", "chosen", "rejected"]}
ID = {"sft": "response_id", "dpo": "pair_id"}
IMAGES = "images"  # paths, of rows that show images
_DEFECT = "this is a defect of Winnow or TRL, please report it"


@dataclass(frozen=True)
class RowLength:
    """Tokens of a row: of its prompt with the assistant's header, and of each response with its end.

    Attributes:
        prompt: see above; the tokens of images, as many as the model reads, are among them.
        responses: see above.
        images: how many of the prompt's tokens are those of images.
    """

    prompt: int
    responses: tuple[int, ...]
    images: int = 0

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence made of this row."""
        return self.prompt + max(self.responses)


def first_rows(file: Path, stage: str, count: int | None) -> list[int]:
    """Return which rows of a table a run with the recipe key train_rows reads: those first by a hash of their ids.

    A smaller subset is a part of every larger one, in any run and with any seed.

    Args:
        file: train.parquet.
        stage: sft or dpo.
        count: how many; None reads all.

    Raises:
        WinnowError: if there are not so many: a size in a comparison must be what it says.
    """
    ids = [str(row[ID[stage]]) for row in read_rows(file, [ID[stage]])]
    if count is not None and count > len(ids):
        raise WinnowError("recipe key train_rows", f"is {count}, {file} has {len(ids)} rows", "use null for all")
    order = sorted(range(len(ids)), key=lambda index: (unit_interval(ids[index], "train_rows"), ids[index]))
    return sorted(order[:count])


def load_rows(file: Path, stage: str, cache: Path, chosen: list[int] | None = None, *, images: bool) -> Any:
    """Return a rendered table as a dataset that lies on disk, with the columns that TRL reads.

    Images stay paths; each of them is checked to be the file that was rendered.

    Args:
        file: train.parquet or val.parquet.
        stage: sft or dpo.
        cache: a folder for the dataset's own files; they do not outlive the training.
        chosen: which rows; None takes all.
        images: whether the run's rows show images.

    Raises:
        WinnowError: if the table shows images and the run none, or the other way round, or an image is not what it was.
    """
    if (IMAGES in pq.read_schema(file).names) != images:
        raise WinnowError(
            file, f"has {'no ' if images else ''}images, against the run's modality", "give the modality's table"
        )
    columns = [*COLUMNS[stage], *([IMAGES] if images else [])]
    rows = Dataset.from_parquet(str(file), columns=columns, cache_dir=str(cache), split=file.stem)
    if chosen is not None and len(chosen) < len(rows):
        rows = rows.select(chosen)
    if images:
        if empty := [index for index, paths in enumerate(rows[IMAGES]) if not paths]:
            raise WinnowError(f"{file}, row {empty[0]}", "shows no image", "render the rows again, which leaves it out")
        check_images(path for paths in rows[IMAGES] for path in paths)
    return rows


def with_images(rows: Any) -> Any:
    """Return rows whose images are opened when a row is read, and not before."""
    return rows.cast_column(IMAGES, List(Image())) if IMAGES in rows.column_names else rows


def row_lengths(rows: Any, tokenizer: Any, stage: str, processor: Any | None = None) -> list[RowLength]:
    """Count the tokens of each row by the tokenizer's own chat template, apart from TRL's own preparation.

    An image counts as many tokens as the processor makes of one of its size.

    Raises:
        WinnowError: if a prompt does not show as many images as its row has.
    """

    def count(messages: list[dict[str, Any]], *, header: bool) -> list[int]:
        return list(tokenizer.apply_chat_template(messages, add_generation_prompt=header, return_dict=False))

    lengths = []
    for index, row in enumerate(rows):
        prompt = count(row["prompt"], header=True)
        responses = (len(count(row["prompt"] + row[column], header=False)) for column in COLUMNS[stage][1:])
        images = row_image_tokens(processor, row[IMAGES]) if processor is not None else []
        if processor is not None and prompt.count(processor.image_token_id) != len(images):
            shown = prompt.count(processor.image_token_id)
            raise WinnowError(f"row {index}", f"shows {shown} images and has {len(images)}", "render the rows again")
        total = len(prompt) - len(images) + sum(images)
        lengths.append(RowLength(total, tuple(whole - len(prompt) for whole in responses), sum(images)))
    return lengths


def check_fits(lengths: list[RowLength], limit: int | None, file: Path) -> None:
    """Check that every row fits the model.

    Raises:
        WinnowError: naming the first row that is longer than the model's positions, or than a packed row.
    """
    for index, length in enumerate(lengths):
        if limit is not None and length.longest > limit:
            raise WinnowError(
                f"{file}, row {index}",
                f"has {length.longest} tokens, the limit is {limit}",
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
    if "seq_lengths" in prepared.column_names:
        check_packed(prepared, [_to_train(length, config) for length in lengths], config.max_length, file)
        return
    if len(prepared) != len(lengths):
        raise WinnowError(file, f"has {len(lengths)} rows, TRL kept {len(prepared)} of them", _DEFECT)
    limit = config.max_length
    found: tuple[int, ...]
    wanted: tuple[int, ...]
    for index, (row, length) in enumerate(zip(prepared, lengths, strict=True)):
        if stage == "sft":
            found, wanted = trained_tokens(row["input_ids"], row["labels"]), _to_train(length, config)
        else:
            found = (len(row["prompt_ids"]), len(row["chosen_ids"]), len(row["rejected_ids"]))
            wanted = (length.prompt, *length.responses)
        # The collator of DPO cuts later, so a limit below a row's length is a cut to come.
        if found != wanted or (limit is not None and limit < length.longest):
            raise WinnowError(f"{file}, row {index}", f"TRL would train on {found} tokens instead of {wanted}", _DEFECT)


def _to_train(length: RowLength, config: Any) -> tuple[int, int]:
    """Return the tokens of a row, and how many of them the recipe says are trained."""
    return length.longest, length.responses[0] if config.completion_only_loss is not False else length.longest


def check_images_kept(
    prepared: Any, lengths: list[RowLength], file: Path, *, max_length: int | None, collate: Any, image_token: int
) -> None:
    """Check that TRL's rows with images are all there, and that no image and no answer is cut on the way to the model.

    TRL prepares them batch by batch, so the longest row and the first are taken through its collator here.

    Args:
        prepared: the trainer's dataset.
        lengths: of the rows that were given to it, in their order.
        file: names the rows in an error.
        max_length: of TRL's settings.
        collate: TRL's collator.
        image_token: the id that stands for a piece of an image.

    Raises:
        WinnowError: naming the first row that was dropped or would be cut.
    """
    if len(prepared) != len(lengths):
        raise WinnowError(file, f"has {len(lengths)} rows, TRL kept {len(prepared)} of them", _DEFECT)
    longest = max(range(len(lengths)), key=lambda index: lengths[index].longest)
    for index in sorted({0, longest}):
        batch, length = collate([prepared[index]]), lengths[index]
        ids, answer = batch["input_ids"], batch["labels"] != -100 if "labels" in batch else batch["completion_mask"]
        pieces = int(batch["image_grid_thw"].prod(1).sum()) // 4 // len(ids)
        found = [
            (int(mask.sum()), int(trained.sum()), int((tokens == image_token).sum()), pieces)
            for tokens, mask, trained in zip(ids, batch["attention_mask"], answer, strict=True)
        ]
        wanted = [(length.prompt + response, response, length.images, length.images) for response in length.responses]
        if found != wanted:
            raise WinnowError(f"{file}, row {index}", f"TRL would train on {found} tokens instead of {wanted}", _DEFECT)
    if max_length is not None:
        raise WinnowError(file, f"would be cut at {max_length} tokens, images and answers alike", _DEFECT)
