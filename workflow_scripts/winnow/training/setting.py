"""All that building a trainer takes, gathered once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from winnow.core.base_model import BaseModel
from winnow.training.arguments import Request
from winnow.training.data import RowLength, check_fits, check_nothing_lost, load_rows, row_lengths
from winnow.training.loading import load_model
from winnow.training.recipes import Recipe, run_schedule, trainer_config
from winnow.training.schedule import Schedule


@dataclass(frozen=True)
class Setting:
    """Model, rows and settings of one training.

    Attributes:
        source: where the weights come from.
        weights: the local folder of the weights, None for a model of the hub.
        policy: the model to train.
        config: TRL's settings.
        train: rows as a dataset, with `val` likewise.
        lengths: of the rows of both, counted apart from TRL.
    """

    request: Request
    recipe: Recipe
    steps: Schedule
    source: BaseModel
    weights: Path | None
    tokenizer: Any
    policy: Any
    config: Any
    train: Any
    val: Any
    lengths: tuple[list[RowLength], list[RowLength]]

    def load_again(self) -> Any:
        """Load the model that the run starts from once more, for a reference."""
        attention = self.recipe.model.get("attn_implementation")
        return load_model(self.source, dtype=self.recipe.dtype, attention=attention)

    def check_rows(self, trainer: Any) -> None:
        """Check that the trainer's rows are those of the tables, all and whole."""
        stage, request = self.request.run.stage, self.request
        check_nothing_lost(trainer.train_dataset, self.lengths[0], self.config, stage, request.train)
        check_nothing_lost(trainer.eval_dataset, self.lengths[1], self.config, stage, request.val)


def gather(request: Request, recipe: Recipe, source: BaseModel, folder: Path, processes: int) -> Setting:
    """Load model, tokenizer and rows of a run, and check that every row fits.

    Args:
        request: what to do.
        recipe: the run's recipe, checked.
        source: where the weights come from.
        folder: of the run's checkpoints.
        processes: how many train together.
    """
    run = request.run
    tokenizer = AutoTokenizer.from_pretrained(request.model, local_files_only=True, trust_remote_code=False)
    tables = [load_rows(file, run.stage, folder / "datasets") for file in (request.train, request.val)]
    lengths = [row_lengths(rows, tokenizer, run.stage) for rows in tables]
    policy = load_model(source, dtype=recipe.dtype, attention=recipe.model.get("attn_implementation"))
    for counted, file in zip(lengths, (request.train, request.val), strict=True):
        check_fits(counted, getattr(policy.config, "max_position_embeddings", None), file)
    steps = run_schedule(recipe, len(tables[0]), processes)
    return Setting(
        request=request,
        recipe=recipe,
        steps=steps,
        source=source,
        weights=Path(source.source) if source.revision is None else None,
        tokenizer=tokenizer,
        policy=policy,
        config=trainer_config(run, recipe, steps, folder, request.trackers, cpu=not run.gpu),
        train=tables[0],
        val=tables[1],
        lengths=(lengths[0], lengths[1]),
    )
