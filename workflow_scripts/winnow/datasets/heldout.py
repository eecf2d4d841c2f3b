"""Which held-out responses a model is measured on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from winnow.core.errors import WinnowError
from winnow.core.ids import unit_interval
from winnow.core.tables import Row, read_rows
from winnow.datasets.scores import read_scores, split_of


@dataclass(frozen=True)
class Heldout:
    """The responses drawn, and from how many.

    Attributes:
        split: test, or val where no test prompt has a rated response.
        author_kind: human, or model where nobody wrote the corpus's responses; None where that does not matter.
        eligible: how many the split holds from which they were drawn.
    """

    sources: list[Row]
    split: str
    author_kind: str | None
    eligible: int


def _drawn(names: Iterable[tuple[str, str]], split: str, author_kind: str | None, limit: int) -> Heldout:
    """Draw at most `limit` of some responses, given as response_id and prompt_id, by a hash of the former."""
    drawn = sorted(names, key=lambda name: (unit_interval(name[0], "heldout"), name))
    sources = [{"response_id": response, "prompt_id": prompt, "split": split} for response, prompt in drawn[:limit]]
    return Heldout(sources, split, author_kind, len(drawn))


def draw_right(scores: Path, corpus: str, splits: Mapping[str, str], limit: int) -> Heldout:
    """Draw at most `limit` responses that the scores call right, of the test split (of val where it has none).

    Raises:
        WinnowError: if neither split has one.
    """
    right = [(score.response_id, score.prompt_id) for score in read_scores(scores, corpus) if score.is_right]
    for split in ("test", "val"):
        if names := [name for name in right if split_of(splits, name[1]) == split]:
            return _drawn(names, split, None, limit)
    raise WinnowError(scores, f"no right response of {corpus} is held out", "raise splits.test or splits.val")


def draw_rated(responses: Path, splits: Mapping[str, str], limit: int) -> Heldout:
    """Draw at most `limit` rated responses of the test split (of val where it has none), by a hash of their ids.

    Raises:
        WinnowError: if neither split has a rated response.
    """
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for row in read_rows(responses, ["response_id", "prompt_id", "rating", "author_kind"]):
        split = splits.get(row["prompt_id"])
        if split in ("test", "val") and row["rating"] is not None:
            found.setdefault((row["author_kind"], split), []).append((row["response_id"], row["prompt_id"]))
    for author_kind in ("human", "model"):
        for split in ("test", "val"):
            if names := found.get((author_kind, split)):
                return _drawn(names, split, author_kind, limit)
    raise WinnowError(
        responses, "no rated response is held out", "raise splits.test or splits.val, or use a corpus with ratings"
    )
