"""What validation goes by: facts of every response recomputed from the source tables, not from what a step wrote."""

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, NamedTuple

import yaml
from pydantic import Field

from winnow.core.config.base import Count
from winnow.core.config.corpora import Splits
from winnow.core.errors import WinnowError
from winnow.core.tables import Row, read_rows
from winnow.datasets.fitting import Renderer
from winnow.datasets.pair_policies import PairSpec
from winnow.datasets.render import RenderSpec
from winnow.datasets.scores import Score, raw_scores
from winnow.datasets.select import SelectionSpec
from winnow.graders.verdicts import AGREES, agreement

Policy = Annotated[SelectionSpec | PairSpec, Field(discriminator="policy")]


class ValidationSpec(RenderSpec):
    """What validate_dataset.py is told: how the dataset was chosen and rendered.

    Attributes:
        answers: label → the word for it, where responses are scored by their prompts' labels.
    """

    dataset: str
    policy: Policy
    answers: dict[str, str] | None = None
    min_prompt_chars: Count
    splits: Splits


class Rated(NamedTuple):
    """What the responses table says of a response."""

    prompt_id: str
    rating: float | None
    confidence: float | None
    scale: tuple[float, ...]
    author_kind: str | None


class Split(NamedTuple):
    """Where a prompt belongs."""

    split: str
    optimize: bool
    group_id: str


@dataclass(frozen=True)
class Paths:
    """The files of one dataset in one modality, and of its corpus.

    Attributes:
        left_out: ids of chosen rows that this modality cannot show, with reasons.
        checklist: its items, where responses are scored by one.
        images: the corpus's images table, where this modality shows images.
        generations: train and val → what a run said to those prompts, of a dataset that is mined from it.
        others: dataset → its chosen.parquet, for those that overlap is counted with.
        modalities: MODALITY/train, MODALITY/val and MODALITY/left_out → file, for every other modality
            that must have the same rows.
    """

    train: Path
    val: Path
    chosen: Path
    ledger: Path
    prompts: Path
    responses: Path
    splits: Path
    scores: Path
    left_out: Path
    checklist: Path | None = None
    images: Path | None = None
    generations: Mapping[str, Path] = field(default_factory=dict)
    others: Mapping[str, Path] = field(default_factory=dict)
    modalities: Mapping[str, Path] = field(default_factory=dict)

    def rendered(self) -> Iterator[tuple[str, Path]]:
        """Yield split and file of what was rendered."""
        yield from (("train", self.train), ("val", self.val))

    def left_out_elsewhere(self) -> dict[str, Path]:
        """Return modality → what it leaves out, for the others that must have the same rows."""
        found = {name.partition("/"): path for name, path in self.modalities.items()}
        return {modality: path for (modality, _, file), path in found.items() if file == "left_out"}


@dataclass
class Evidence:
    """Facts that several rules use, each read once."""

    spec: ValidationSpec
    paths: Paths
    renderer: Renderer

    @property
    def key(self) -> str:
        """The column that names a row."""
        return "response_id" if self.spec.stage == "sft" else "pair_id"

    @cached_property
    def items(self) -> frozenset[str]:
        """The ids of the checklist's items; the one item of labels where there is no checklist."""
        if self.paths.checklist is None:
            return frozenset({AGREES})
        content = yaml.safe_load(self.paths.checklist.read_text(encoding="utf-8"))  # YAML reads JSON too
        try:
            return frozenset(item["id"] for item in content["questions"])
        except (KeyError, TypeError) as error:
            raise WinnowError(self.paths.checklist, f"has no questions with ids ({error!r})") from error

    @cached_property
    def split_rows(self) -> dict[str, list[Split]]:
        """Prompt → its rows in the splits table; one each, if all is well."""
        found: dict[str, list[Split]] = {}
        for row in read_rows(self.paths.splits):
            split = Split(sys.intern(row["split"]), row["optimize"], row["group_id"])
            found.setdefault(row["prompt_id"], []).append(split)
        return found

    def split_of(self, prompt_id: str) -> str | None:
        """Return a prompt's split, None if it has none or several."""
        rows = self.split_rows.get(prompt_id, [])
        return rows[0].split if len(rows) == 1 else None

    @cached_property
    def decisions(self) -> dict[str, str | None]:
        """Prompt → decision, from the prompts table."""
        return {row["prompt_id"]: row["decision"] for row in read_rows(self.paths.prompts, ["prompt_id", "decision"])}

    def _rated(self) -> dict[str, Rated]:
        """Return response → prompt, rating, confidence, scale and kind of author, from the responses table."""
        columns = ["response_id", "prompt_id", "rating", "confidence", "rating_scale", "author_kind"]
        scales: dict[tuple[float, ...], tuple[float, ...]] = {}
        found = {}
        for row in read_rows(self.paths.responses, columns):
            scale = tuple(row["rating_scale"] or ())
            scale = scales.setdefault(scale, scale)
            author = None if row["author_kind"] is None else sys.intern(row["author_kind"])
            prompt_id = sys.intern(row["prompt_id"])
            found[row["response_id"]] = Rated(prompt_id, row["rating"], row["confidence"], scale, author)
        return found

    @cached_property
    def labels(self) -> dict[str, str | None]:
        """Prompt → label, from the prompts table."""
        return {row["prompt_id"]: row["label"] for row in read_rows(self.paths.prompts, ["prompt_id", "label"])}

    @cached_property
    def named_groups(self) -> dict[str, str]:
        """Prompt → the group that its record names, for those that name one."""
        rows = read_rows(self.paths.prompts, ["prompt_id", "group"])
        return {row["prompt_id"]: row["group"] for row in rows if row["group"] is not None}

    @cached_property
    def agreements(self) -> dict[str, str | None]:
        """Response → whether its text says its prompt's label, from the source tables; empty without labels."""
        if self.spec.answers is None:
            return {}
        return {
            row["response_id"]: agreement(row["text"], self.labels.get(row["prompt_id"]), self.spec.answers)
            for row in read_rows(self.paths.responses, ["response_id", "prompt_id", "text"])
        }

    @cached_property
    def chosen(self) -> list[Row]:
        """The rows of chosen.parquet."""
        return list(read_rows(self.paths.chosen))

    @cached_property
    def scored(self) -> dict[str, Score]:
        """Response → its score, counted again from the judge's single answers, or labels, and the source tables."""
        rated = self._rated()
        rows = raw_scores(self.paths.scores, self.spec.corpus)
        scores = (self._recount(row, rated.get(row["response_id"])) for row in rows)
        return {score.response_id: score for score in scores}

    def _recount(self, row: Row, source: Rated | None) -> Score:
        source = source or Rated(sys.intern(row["prompt_id"]), None, None, (), None)
        given = row["answers"] if self.spec.answers is None else {AGREES: self.agreements.get(row["response_id"])}
        answers = [given.get(item) for item in self.items]
        yes, answered = answers.count("yes"), len(answers) - answers.count(None)
        known = sorted(value for value in row["p_yes"].values() if value is not None)
        return Score(
            response_id=row["response_id"],
            prompt_id=source.prompt_id,
            decision=self.decisions.get(source.prompt_id),
            rating=source.rating,
            scale_width=source.scale[-1] - source.scale[0] if source.scale else None,
            confidence=source.confidence,
            author_kind=source.author_kind,
            checkmark_count=yes,
            checkmark_max=answered,
            checkmark_score=yes / answered if answered else None,
            p_yes_mean=math.fsum(known) / len(known) if known else None,
            answered_share=round(answered / len(self.items), 6),
        )
