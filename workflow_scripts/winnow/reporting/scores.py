"""One pass over the scored responses: distributions, years and answers, with nothing kept of the text."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log2
from typing import Any

from winnow.core.config.studies import ResolvedStudy
from winnow.reporting.sources import Results

SCORES = "scores/review_evaluations.jsonl"
MAX_BINS = 40
MIN_BAND = 10  # responses of about one length from which their quartiles are drawn


@dataclass(frozen=True)
class Band:
    """The checkmarks of responses of about one length: how many responses, and the quartiles of their counts."""

    centre: float
    n: int
    low: float
    median: float
    high: float


@dataclass
class ScoreSummary:
    """Counts over all scored responses; a value that is missing is counted apart.

    Attributes:
        total: responses.
        checkmarks: checkmark count → responses.
        tokens: length in tokens → responses.
        ratings: rating → responses.
        chosen_checkmarks: the first, of the responses that an SFT dataset selected.
        missing: value → responses that lack it.
        parse_status: how the judge's answers could be read → responses.
        answers: item → answer ("yes", "no", "null") → responses.
        lengths: class of length, in thirds of a doubling → checkmark count → responses.
        years: year → column (dataset or "scored") → responses or pairs.
    """

    total: int = 0
    checkmarks: Counter[int] = field(default_factory=Counter)
    tokens: Counter[int] = field(default_factory=Counter)
    ratings: Counter[float] = field(default_factory=Counter)
    chosen_checkmarks: Counter[int] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    parse_status: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    answers: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    lengths: defaultdict[int, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    years: defaultdict[int | None, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, row: Mapping[str, Any], members: Mapping[str, Counter[str]], selections: Sequence[str]) -> None:
        """Count one scored response, and the datasets that hold it."""
        self.total += 1
        for name, counter in (
            ("checkmark_count", self.checkmarks),
            ("n_tokens", self.tokens),
            ("rating", self.ratings),
        ):
            if row.get(name) is None:
                self.missing[name] += 1
            else:
                counter[row[name]] += 1
        if row.get("n_tokens") and row.get("checkmark_count") is not None:
            self.lengths[round(3 * log2(row["n_tokens"]))][row["checkmark_count"]] += 1
        self.parse_status[str(row.get("parse_status"))] += 1
        self.flags.update(row.get("injection_flags") or ())
        for item, answer in (row.get("answers") or {}).items():
            self.answers[item]["null" if answer is None else answer] += 1
        year = self.years[row.get("year")]
        year["scored"] += 1
        year["rated"] += row.get("rating") is not None
        for dataset, ids in members.items():
            if count := ids[row["response_id"]]:
                year[dataset] += count
                if dataset in selections and row.get("checkmark_count") is not None:
                    self.chosen_checkmarks[row["checkmark_count"]] += 1

    def null_rate(self) -> float | None:
        """Return the share of unanswered items over all responses, or None without answers."""
        asked = sum(answers.total() for answers in self.answers.values())
        return sum(answers["null"] for answers in self.answers.values()) / asked if asked else None

    def counts_by_length(self) -> list[Band]:
        """Return the quartiles of the checkmark counts by length, of classes with at least MIN_BAND responses."""
        return [
            Band(
                2 ** (place / 3), counts.total(), *(float(quantile(counts, share) or 0) for share in (0.25, 0.5, 0.75))
            )
            for place, counts in sorted(self.lengths.items())
            if counts.total() >= MIN_BAND
        ]


def members_of(results: Results, study: ResolvedStudy) -> dict[str, Counter[str]]:
    """Return for each dataset how often a response is in it; for pairs, as the chosen side. Ids only."""
    members = {}
    for name, dataset in study.datasets.items():
        column = "response_id" if dataset.stage == "sft" else "chosen_id"
        rows = results.rows(f"datasets/{name}/chosen.parquet", [column])
        members[name] = Counter(row[column] for row in rows)
    return members


def summarise(results: Results, study: ResolvedStudy) -> ScoreSummary:
    """Return the summary of all scored responses, reading them one at a time."""
    members = members_of(results, study)
    selections = [name for name, dataset in study.datasets.items() if dataset.stage == "sft"]
    summary = ScoreSummary()
    for row in results.lines(SCORES):
        summary.add(row, members, selections)
    return summary


def quantile(counts: Mapping[Any, int], share: float) -> float | None:
    """Return the smallest value at or below which `share` of all counted values lie; None without any."""
    total = sum(counts.values())
    if not total:
        return None
    reached = 0
    for value in sorted(counts):
        reached += counts[value]
        if reached >= share * total:
            return float(value)
    raise ValueError(f"share {share} is above 1")


def unit_bins(*series: Mapping[int, int]) -> tuple[list[float], list[list[int]]]:
    """Return edges and counts of bins of width 1, centred on whole numbers, for series with one scale."""
    values = [value for counts in series for value in counts]
    low, high = int(min(values)), int(max(values))
    edges = [value - 0.5 for value in range(low, high + 2)]
    return edges, [[counts.get(value, 0) for value in range(low, high + 1)] for counts in series]


def even_bins(counts: Mapping[int, int], last: float) -> tuple[list[float], list[int], int]:
    """Return edges, counts and the number beyond `last`, in at most MAX_BINS bins of a round width."""
    width = next(
        width for power in range(9) for width in (10**power, 2 * 10**power, 5 * 10**power) if last / width <= MAX_BINS
    )
    bins = [0] * max(1, -int(-last // width))
    beyond = 0
    for value, count in counts.items():
        if value < len(bins) * width:
            bins[int(value // width)] += count
        else:
            beyond += count
    return [float(width * index) for index in range(len(bins) + 1)], bins, beyond


def histogram(values: Iterable[float], bins: int = 20) -> tuple[list[float], list[int]]:
    """Return edges and counts of `bins` equal bins from the smallest to the largest value."""
    values = list(values)
    low, high = min(values), max(values)
    width = (high - low) / bins or 1.0
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((value - low) / width))] += 1
    return [low + width * index for index in range(bins + 1)], counts
