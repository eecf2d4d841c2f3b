"""What generated reviews are held against: papers, their human reviews, and thresholds fitted on validation papers."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from winnow.core.manifest import Tally
from winnow.core.tables import BATCH_ROWS, Row, read_rows
from winnow.evaluation.reviews.copying import Runs, known_runs
from winnow.evaluation.reviews.decisions import Decision, RatedPaper, Scale
from winnow.evaluation.reviews.ratings import reference_rating
from winnow.evaluation.reviews.words import words


@dataclass(frozen=True)
class HumanReview:
    """A human review of a paper; its rating is None where there is none on the scale."""

    identity: str
    text: str
    rating: float | None
    words: int


@dataclass
class Paper:
    """A paper for which reviews were generated.

    Attributes:
        decision: accept or reject; None where it was neither.
        runs: hashes of all its runs of eight words.
        scale: of its human ratings; None where no review has one.
        reviews: ordered by id.
    """

    year: int | None
    decision: Decision | None
    runs: Runs
    scale: Scale | None = None
    reviews: list[HumanReview] = field(default_factory=list)

    def others(self, identity: str = "") -> list[HumanReview]:
        """Return all human reviews but one."""
        return [review for review in self.reviews if review.identity != identity]


def rows_where(table: Path, column: str, wanted: Collection[str], columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a table whose column has one of some values; the texts of all others never become objects."""
    values = pa.array(sorted(wanted), pa.string())
    with pq.ParquetFile(table) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=list(columns)):
            yield from batch.filter(pc.is_in(batch.column(column), value_set=values)).to_pylist()


def read_papers(prompts: Path, wanted: Collection[str]) -> dict[str, Paper]:
    """Return the wanted papers by prompt_id, without their reviews."""
    columns = ["prompt_id", "title", "abstract", "body", "decision", "year"]
    return {
        row["prompt_id"]: Paper(
            row["year"],
            row["decision"] if row["decision"] in ("accept", "reject") else None,
            known_runs(row[part] or "" for part in ("title", "abstract", "body")),
        )
        for row in rows_where(prompts, "prompt_id", wanted, columns)
    }


def add_reviews(papers: Mapping[str, Paper], responses: Path, tally: Tally) -> None:
    """Give each paper its human reviews; the tally is told what other responses there are.

    Where nobody wrote a review of any of the papers (a corpus of model texts), the corpus's own responses take their
    place, as they do where held-out rows are drawn.
    """
    columns = ["response_id", "prompt_id", "text", "rating", "rating_scale", "author_kind"]
    rows = sorted(rows_where(responses, "prompt_id", papers, columns), key=lambda row: row["response_id"])
    kinds = {row["author_kind"] for row in rows}
    for row in rows:
        tally.read += 1
        if row["author_kind"] != "human" and "human" in kinds:
            tally.drop("not written by a human")
            continue
        tally.kept += 1
        paper = papers[row["prompt_id"]]
        paper.scale = paper.scale or tuple(row["rating_scale"] or ()) or None
        paper.reviews.append(HumanReview(row["response_id"], row["text"], row["rating"], len(words(row["text"]))))


def rated_papers(prompts: Path, responses: Path, splits: Path, tally: Tally) -> list[RatedPaper]:
    """Return the decided validation papers that people rated, on which thresholds are fitted.

    Args:
        prompts: prompts.parquet.
        responses: responses.parquet.
        splits: splits.parquet.
        tally: is told how many validation papers could not be used, and why.
    """
    held = {row["prompt_id"] for row in read_rows(splits, ["prompt_id", "split"]) if row["split"] == "val"}
    decisions = {
        row["prompt_id"]: row["decision"]
        for row in read_rows(prompts, ["prompt_id", "decision"])
        if row["prompt_id"] in held
    }
    ratings: dict[str, list[float]] = {}
    scales: dict[str, Scale] = {}
    for row in read_rows(responses, ["prompt_id", "rating", "rating_scale", "author_kind"]):
        if row["prompt_id"] in decisions and row["rating"] is not None and row["author_kind"] == "human":
            ratings.setdefault(row["prompt_id"], []).append(row["rating"])
            scales.setdefault(row["prompt_id"], tuple(row["rating_scale"]))
    found = []
    for prompt in sorted(decisions):
        tally.read += 1
        rating = reference_rating(ratings.get(prompt, []))
        if decisions[prompt] not in ("accept", "reject"):
            tally.drop("neither accepted nor rejected")
        elif rating is None:
            tally.drop("no human rating")
        else:
            tally.kept += 1
            found.append(RatedPaper(rating, scales[prompt], decisions[prompt] == "accept"))
    return found
