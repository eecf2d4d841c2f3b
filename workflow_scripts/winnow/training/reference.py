"""Reference log-probabilities that are computed once, and read again by every run for which they are the same."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from accelerate.utils import broadcast_object_list
from datasets import Dataset, concatenate_datasets

from winnow.core.files import replacing
from winnow.core.ids import canonical_json, sha256_text
from winnow.core.log import log

SCHEMA = pa.schema([(name, pa.float32()) for name in ("ref_chosen_logps", "ref_rejected_logps")])
# Recipe keys that come after the reference: a sweep over them shares its log-probabilities. Any other key is a part of
# the name, so that one too many costs time and never a wrong number.
LATER_KEYS = frozenset({
    "beta", "loss_type", "loss_weights", "label_smoothing", "use_weighting", "discopop_tau", "optim", "learning_rate",
    "lr_scheduler_type", "warmup_steps", "weight_decay", "max_grad_norm", "num_train_epochs", "max_steps",
    "effective_batch_size", "eval_steps", "save_steps", "save_total_limit", "early_stopping", "select", "best_by",
})  # fmt: skip


def reference_key(body: Mapping[str, Any], processes: int) -> dict[str, Any]:
    """Return what reference log-probabilities follow from, out of a run's identity.

    Args:
        body: the identity: data, model, weights, pins, recipe and more.
        processes: how many compute together: each takes its own batches.
    """
    run = body["run"] | {"recipe": {k: v for k, v in body["run"]["recipe"].items() if k not in LATER_KEYS}}
    del run["seed"]
    return {**{key: value for key, value in body.items() if key != "code"}, "run": run, "processes": processes}


class ReferenceCache:
    """A folder with a table for each set of rows, model and settings that reference log-probabilities follow from.

    Attributes:
        folder: cache/reference.
        key: what they follow from, but for the rows' own part: `train` or `eval`.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self.folder = folder
        self.key = dict(key)

    def file(self, name: str) -> Path:
        """Return where the log-probabilities of a part lie."""
        return self.folder / f"{sha256_text(canonical_json(self.key | {'part': name}))}.parquet"

    def add_to(self, dataset: Any, name: str, make: Callable[[], Any], accelerator: Any) -> Any:
        """Return a dataset with the two columns of reference log-probabilities.

        Args:
            dataset: pairs as TRL prepared them.
            name: train or eval.
            make: computes the dataset with its columns.
            accelerator: of the trainer; all processes take the same way.
        """
        file = self.file(name)
        known = [file.is_file() and pq.read_metadata(file).num_rows == len(dataset)]
        broadcast_object_list(known, from_process=0)
        if known[0]:
            log(f"reference log-probabilities of {len(dataset)} pairs ({name}) are known: {file}")
            return concatenate_datasets([dataset, Dataset(pq.read_table(file))], axis=1)
        made = make()
        if accelerator.is_main_process:
            table = made.select_columns(list(SCHEMA.names)).with_format("arrow")[:]
            with replacing(file) as part:
                pq.write_table(table.cast(SCHEMA), part)
        accelerator.wait_for_everyone()
        return made
