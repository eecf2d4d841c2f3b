"""judge_report.json: what the judge answered, how often it did not, what its counts go with, and the gates."""

from array import array
from collections import Counter
from collections.abc import Sequence
from math import log as ln
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.tables import Row
from winnow.scoring.checklist import Item

Numbers = NDArray[np.float64]
_UNKNOWN = float("nan")  # in arrays only; in files missing is null


def ranks(values: Numbers) -> Numbers:
    """Return ranks from 1, equal values sharing their mean rank."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[which])


def pearson(first: Numbers, second: Numbers) -> float | None:
    """Return the linear correlation; None with fewer than three pairs, or where one side does not vary."""
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    x, y = first - first.mean(), second - second.mean()
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))


def correlation(first: Numbers, second: Numbers) -> dict[str, Any]:
    """Return Pearson's and Spearman's correlation of the pairs in which both are known, and their number."""
    known = ~(np.isnan(first) | np.isnan(second))
    first, second = first[known], second[known]
    return {
        "n": len(first),
        "pearson": _rounded(pearson(first, second)),
        "spearman": _rounded(pearson(ranks(first), ranks(second)) if len(first) else None),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


class JudgeReport:
    """Collects score rows in order: a few numbers of each, no text."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        self._answers: dict[str, Counter[str | None]] = {item.id: Counter() for item in items}
        self._statuses: Counter[str] = Counter()
        self._flags: Counter[str] = Counter()
        self._flagged = 0
        self._tokens, self._counts, self._ratings = array("d"), array("d"), array("d")
        self._nulls = array("l")
        self._left_out = array("l")
        self._years: dict[tuple[str, int | None], list[int]] = {}

    def add(self, row: Row) -> None:
        """Note one score row."""
        for item, answer in row["answers"].items():
            self._answers[item][answer] += 1
        self._statuses[row["parse_status"]] += 1
        self._flags.update(row["injection_flags"])
        self._flagged += bool(row["injection_flags"])
        self._years.setdefault((row["corpus"], row["year"]), []).append(len(self._nulls))
        self._nulls.append(sum(answer is None for answer in row["answers"].values()))
        self._left_out.append(row["left_out"])
        self._tokens.append(row["n_tokens"])
        # A count of nothing is no count.
        self._counts.append(row["checkmark_count"] if row["checkmark_max"] else _UNKNOWN)
        self._ratings.append(_UNKNOWN if row["rating"] is None else row["rating"])

    @property
    def rows(self) -> int:
        """How many rows were noted."""
        return len(self._nulls)

    def null_rate(self) -> float | None:
        """The share of questions without an answer; None without rows."""
        return _share(sum(self._nulls), self.rows * len(self._answers))

    def as_dict(self) -> dict[str, Any]:
        """Return the report, but for the gates and what people say."""
        tokens, counts, ratings = (np.array(each) for each in (self._tokens, self._counts, self._ratings))
        known = counts[~np.isnan(counts)].astype(int)
        return {
            "rows": self.rows,
            "items": [self._item(item.id, item.category) for item in self._items],
            "parse_statuses": dict(sorted(self._statuses.items())),
            "parse_rate": _share(self._statuses["ok"], self.rows),
            "left_out": self._shortened(),
            "null_rate": {"overall": self.null_rate(), "by_length_quartile": self._null_rate_by_length()},
            "injection_flags": {"flagged_rows": self._flagged, "by_flag": dict(sorted(self._flags.items()))},
            "checkmark_counts": {
                str(count): int(n) for count, n in zip(*np.unique(known, return_counts=True), strict=True)
            },
            "correlations": {
                "count_and_log_tokens": correlation(counts, _logarithms(tokens)),
                "count_and_rating": correlation(counts, ratings),
            },
            "by_year": [self._year(key, counts, ratings, tokens) for key in sorted(self._years, key=_year_order)],
        }

    def _shortened(self) -> dict[str, Any]:
        """Return how many responses the judge saw without their middle, and how much that was, in its own units."""
        parts = [part for part in self._left_out if part]
        return {
            "responses": len(parts),
            "share": _share(len(parts), self.rows),
            "units": sum(parts),
            "mean_units": round(sum(parts) / len(parts), 6) if parts else None,
            "max_units": max(parts, default=None),
        }

    def _item(self, identity: str, category: str) -> dict[str, Any]:
        answers = self._answers[identity]
        yes, no, null = answers["yes"], answers["no"], answers[None]
        return {
            "item": identity,
            "category": category,
            "n": yes + no + null,
            "yes": yes,
            "no": no,
            "null": null,
            "prevalence": _share(yes, yes + no),
            "null_rate": _share(null, yes + no + null),
        }

    def _null_rate_by_length(self) -> list[dict[str, Any]]:
        """Return the null rate of each quarter of the rows by length; rows of equal length are not parted."""
        if not self.rows:
            return []
        tokens, nulls = np.array(self._tokens), np.array(self._nulls)
        edges = np.quantile(tokens, [0.25, 0.5, 0.75], method="higher")
        quarter = np.searchsorted(edges, tokens, side="right")
        return [
            {
                "quartile": number + 1,
                "n": int((quarter == number).sum()),
                "max_tokens": int(tokens[quarter == number].max()) if (quarter == number).any() else None,
                "null_rate": _share(
                    int(nulls[quarter == number].sum()), int((quarter == number).sum()) * len(self._answers)
                ),
            }
            for number in range(4)
        ]

    def _year(self, key: tuple[str, int | None], counts: Numbers, ratings: Numbers, tokens: Numbers) -> dict[str, Any]:
        """Return one year of one corpus: its ratings are on one scale, those of several years are not."""
        rows = self._years[key]
        known = counts[rows][~np.isnan(counts[rows])]
        return {
            "corpus": key[0],
            "year": key[1],
            "n": len(rows),
            "mean_count": _rounded(known.mean()) if len(known) else None,
            "count_and_log_tokens": correlation(counts[rows], _logarithms(tokens[rows])),
            "count_and_rating": correlation(counts[rows], ratings[rows]),
        }


def _logarithms(tokens: Numbers) -> Numbers:
    return np.array([ln(value) if value > 0 else _UNKNOWN for value in tokens], dtype=np.float64)


def _year_order(key: tuple[str, int | None]) -> tuple[str, int]:
    return key[0], -1 if key[1] is None else key[1]
