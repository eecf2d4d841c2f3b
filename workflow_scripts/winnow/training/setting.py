"""All that building a trainer takes, gathered once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from winnow.core.base_model import BaseModel
from winnow.core.errors import WinnowError
from winnow.core.tables import count_rows
from winnow.models.processors import load_processor
from winnow.models.weights import is_vision, load_model
from winnow.training.arguments import Request
from winnow.training.data import (
    RowLength,
    check_fits,
    check_images_kept,
    check_nothing_lost,
    first_rows,
    load_rows,
    row_lengths,
)
from winnow.training.packing import packed_rows
from winnow.training.recipes import Recipe, adapter_config, run_schedule, trainer_config
from winnow.training.schedule import Schedule
from winnow.training.trainable import check_trainable
from winnow.training.vision import check_tower, freeze_tower, language_only
from winnow.training.world import World


@dataclass(frozen=True)
class Setting:
    """Model, rows and settings of one training.

    Attributes:
        source: where the weights come from.
        weights: the local folder of the weights, None for a model of the hub.
        tokenizer: of the base model.
        processor: of the base model, None where rows show no images.
        policy: the model to train.
        config: TRL's settings.
        train: rows as a dataset, images as paths, with `val` likewise.
        lengths: of the rows of both, counted apart from TRL.
        left_out: rows of the table that the recipe key train_rows leaves out.
    """

    request: Request
    recipe: Recipe
    steps: Schedule
    source: BaseModel
    weights: Path | None
    tokenizer: Any
    processor: Any | None
    policy: Any
    config: Any
    train: Any
    val: Any
    lengths: tuple[list[RowLength], list[RowLength]]
    left_out: int

    def load_again(self) -> Any:
        """Load the model that the run starts from once more, for a reference."""
        attention = self.recipe.model.get("attn_implementation")
        return load_model(self.source, dtype=self.recipe.dtype, attention=attention)

    def adapter(self) -> Any:
        """Return PEFT's settings of the adapter, for language layers only; None for full fine-tuning."""
        return language_only(adapter_config(self.recipe), self.policy)

    def check(self, trainer: Any) -> None:
        """Check that the trainer's rows are those of the tables, all and whole, and its adapter where it may be."""
        stage, request = self.request.run.stage, self.request
        check_tower(trainer.model)
        check_trainable(request.run, trainer.model)
        tables = ((trainer.train_dataset, request.train), (trainer.eval_dataset, request.val))
        for (rows, file), lengths in zip(tables, self.lengths, strict=True):
            if self.processor is None:
                check_nothing_lost(rows, lengths, self.config, stage, file)
            else:
                check_images_kept(
                    rows,
                    lengths,
                    file,
                    max_length=self.config.max_length,
                    collate=trainer.data_collator,
                    image_token=self.processor.image_token_id,
                )


def gather(request: Request, recipe: Recipe, source: BaseModel, folder: Path, world: World) -> Setting:
    """Load model, tokenizer and rows of a run, and check that every row fits.

    Args:
        request: what to do.
        recipe: the run's recipe, checked.
        source: where the weights come from.
        folder: of the run's checkpoints.
        world: the processes that train together.
    """
    run = request.run
    tokenizer = AutoTokenizer.from_pretrained(request.model, local_files_only=True, trust_remote_code=False)
    processor = load_processor(request.model, **run.pixels) if run.pixels else None
    files = (request.train, request.val)
    chosen = first_rows(request.train, run.stage, recipe.own.train_rows)
    with world.first_before_others():  # it writes the dataset's files, the others read them
        tables = [
            load_rows(file, run.stage, folder / "datasets", rows, images=bool(run.pixels))
            for file, rows in zip(files, (chosen, None), strict=True)
        ]
    lengths = [row_lengths(rows, tokenizer, run.stage, processor) for rows in tables]
    count = len(tables[0])
    if run.pack_to is not None:
        check_fits(lengths[0], run.pack_to, request.train)
        count = packed_rows([length.longest for length in lengths[0]], run.pack_to)
    steps = run_schedule(recipe, count, world.size)
    config = trainer_config(run, recipe, steps, folder, request.trackers, cpu=not run.gpu)
    policy = load_model(source, dtype=recipe.dtype, attention=recipe.model.get("attn_implementation"))
    if run.pixels and not is_vision(policy.config):
        raise WinnowError(f"run {run.name}", "shows images to a model that sees none", "use a Qwen2.5-VL")
    if recipe.own.freeze_vision_tower:
        freeze_tower(policy)
    for counted, file in zip(lengths, files, strict=True):
        check_fits(counted, getattr(policy.config.get_text_config(), "max_position_embeddings", None), file)
    return Setting(
        request=request,
        recipe=recipe,
        steps=steps,
        source=source,
        weights=Path(source.source) if source.revision is None else None,
        tokenizer=tokenizer,
        processor=processor,
        policy=policy,
        config=config,
        train=tables[0],
        val=tables[1],
        lengths=(lengths[0], lengths[1]),
        left_out=count_rows(request.train) - len(chosen),
    )
