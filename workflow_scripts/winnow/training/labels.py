"""How a run answers labelled prompts while it trains: of the labels' words the more probable one, for every row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from winnow.core.config.runs import ResolvedRun
from winnow.core.errors import WinnowError
from winnow.core.log import log
from winnow.core.tables import read_rows
from winnow.graders.verdicts import read_verdict
from winnow.models.encoding import encode_prompt
from winnow.models.words import tokens_of_words, word_logps
from winnow.numerics.labels import label_metrics
from winnow.numerics.tokens import pad_id
from winnow.training.setting import Setting
from winnow.training.world import World


@dataclass(frozen=True)
class LabelledRow:
    """A prompt's messages, and the label that the right response to it names."""

    prompt: list[dict[str, Any]]
    label: str


def read_labelled(run: ResolvedRun, tables: Mapping[str, Path]) -> dict[str, list[LabelledRow]]:
    """Return dataset → its validation rows, without datasets that have none, which are named in the log.

    Args:
        run: with the words for labels.
        tables: dataset → val.parquet of an SFT dataset of right responses.

    Raises:
        WinnowError: if the run has no words for labels and there are tables, or the other way round; if a table shows
            images, or a response names no label.
    """
    if (run.answers is None) == bool(tables):
        raise WinnowError(
            "--labels",
            f"names {len(tables)} datasets, and the run's answers are {run.answers}",
            "give the validation rows of the study's SFT datasets of policy all, where it scores by labels",
        )
    found = {name: _rows(file, run.answers or {}) for name, file in tables.items()}
    for name in (name for name, rows in found.items() if not rows):
        log(f"WARNING: {tables[name]} has no rows, so no answers to prompts of {name} are scored while training")
    return {name: rows for name, rows in found.items() if rows}


def _rows(file: Path, answers: Mapping[str, str]) -> list[LabelledRow]:
    if "images" in pq.read_schema(file).names:
        raise WinnowError(file, "shows images, and answers are scored to prompts of text alone", "use modality clean")
    rows = []
    for row in read_rows(file, ["response_id", "prompt", "completion"]):
        label = read_verdict(row["completion"][0]["content"], answers)
        if label is None:
            place = f"{file}, row {row['response_id']}"
            raise WinnowError(place, f"begins with none of {', '.join(answers.values())}", "render the rows again")
        rows.append(LabelledRow(row["prompt"], label))
    return rows


class LabelProbe:
    """Scores the answers to all rows, in the manner of the evaluation after training (winnow/models/words.py).

    Each process scores every row, since a model whose weights lie in parts answers only when all ask it the same; what
    the first one found holds for all, so that all decide alike. Nothing is drawn: no random number is used up.
    """

    def __init__(
        self, policy: Any, tables: Mapping[str, Sequence[LabelledRow]], setting: Setting, world: World
    ) -> None:
        run = setting.request.run
        assert run.answers is not None and run.positive is not None  # noqa: PT018 - set together (core/study.py)
        self.policy = policy
        self.world = world
        self.positive = run.positive
        self.pad = pad_id(setting.tokenizer)
        self.batch: int = setting.config.per_device_eval_batch_size
        # Of like length are scored together.
        self.rows = {
            name: sorted(((encode_prompt(setting.tokenizer, row.prompt), row.label) for row in rows), key=_by_length)
            for name, rows in tables.items()
        }
        first = next(iter(tables.values()))[0]
        self.words = tokens_of_words(setting.tokenizer, run.answers, first.prompt)

    def measure(self) -> dict[str, float]:
        """Return `<metric>/<dataset>` of now (winnow/numerics/labels.py); the model must be in evaluation mode."""
        found = {
            f"{metric}/{name}": value
            for name, rows in self.rows.items()
            for metric, value in label_metrics(self._scored(rows), self.positive).items()
        }
        return self.world.told(lambda: found)

    def _scored(self, rows: Sequence[tuple[tuple[int, ...], str]]) -> list[tuple[str, dict[str, float]]]:
        scored = []
        for start in range(0, len(rows), self.batch):
            batch = rows[start : start + self.batch]
            logps = word_logps(self.policy, [ids for ids, _ in batch], self.words, self.pad)
            scored += [(label, of_row) for (_, label), of_row in zip(batch, logps, strict=True)]
        return scored


def _by_length(row: tuple[tuple[int, ...], str]) -> tuple[int, tuple[int, ...]]:
    return len(row[0]), row[0]


def label_probe(setting: Setting, policy: Any, world: World) -> LabelProbe | None:
    """Return what scores the labelled rows of a setting; None where there are none."""
    tables = read_labelled(setting.request.run, setting.request.labels)
    return LabelProbe(policy, tables, setting, world) if tables else None
