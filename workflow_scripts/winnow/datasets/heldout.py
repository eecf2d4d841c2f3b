"""Which held-out responses a model is measured on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from winnow.core.errors import WinnowError
from winnow.core.ids import unit_interval
from winnow.core.tables import Row, read_rows


@dataclass(frozen=True)
class Heldout:
    """The responses drawn, and from how many.

    Attributes:
        split: test, or val where no test prompt has a rated response.
        author_kind: human, or model where nobody wrote the corpus's responses.
        rated: how many rated responses of that kind the split holds.
    """

    sources: list[Row]
    split: str
    author_kind: str
    rated: int


def draw_heldout(responses: Path, splits: Mapping[str, str], limit: int) -> Heldout:
    """Draw at most `limit` rated responses of the test split (of val where it has none), by a hash of their ids.

    Raises:
        WinnowError: if neither split has a rated response.
    """
    found: dict[tuple[str, str], list[tuple[float, str, str]]] = {}
    for row in read_rows(responses, ["response_id", "prompt_id", "rating", "author_kind"]):
        split = splits.get(row["prompt_id"])
        if split in ("test", "val") and row["rating"] is not None:
            draw = (unit_interval(row["response_id"], "heldout"), row["response_id"], row["prompt_id"])
            found.setdefault((row["author_kind"], split), []).append(draw)
    for author_kind in ("human", "model"):
        for split in ("test", "val"):
            if drawn := found.get((author_kind, split)):
                sources = [
                    {"response_id": response, "prompt_id": prompt, "split": split}
                    for _, response, prompt in sorted(drawn)[:limit]
                ]
                return Heldout(sources, split, author_kind, len(drawn))
    raise WinnowError(
        responses, "no rated response is held out", "raise splits.test or splits.val, or use a corpus with ratings"
    )
