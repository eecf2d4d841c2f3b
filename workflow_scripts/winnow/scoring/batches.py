"""What one batch of judging is: which judge, how it judges, and which responses of a corpus it sees."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from winnow.core.config.base import Count, Settings
from winnow.core.config.signals import Judge
from winnow.core.errors import WinnowError
from winnow.core.tables import read_rows
from winnow.scoring.judge import Variant


class Batch(Settings):
    """A batch, as the rules hand it to a shard's job."""

    judge: Judge
    variant: Variant = ""
    limit: Count = Field(0, description="only so many responses, those with the smallest hashes; 0 = all")
    part: Literal["all", "optimize"] = Field("all", description="optimize: of prompts on which a checklist is chosen")
    injected: bool = Field(False, description="plant an instruction to the judge in every text")


def prompts_of_part(batch: Batch, splits: Path | None) -> frozenset[str] | None:
    """Return the prompts whose responses a batch may see; None for all.

    Args:
        batch: what is asked for.
        splits: splits.parquet, for a batch of the part `optimize`.

    Raises:
        WinnowError: if the splits are missing, or leave nothing to choose a checklist on.
    """
    if batch.part == "all":
        return None
    if splits is None:
        raise WinnowError("--splits", "is absent, and only the part `optimize` may be judged", "give splits.parquet")
    rows = read_rows(splits, ["prompt_id", "split", "optimize"])
    prompts = frozenset(row["prompt_id"] for row in rows if row["optimize"] and row["split"] == "train")
    if not prompts:
        fix = "raise splits.optimize of the corpus, or give a checklist instead of signal.optimize"
        raise WinnowError(splits, "no train prompt is set aside for choosing a checklist", fix)
    return prompts
