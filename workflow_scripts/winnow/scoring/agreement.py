"""How far two judges agree on yes and no, beyond what chance would give.

Raw agreement overstates: where nearly all answers are yes, two coins of that bias agree nearly always.
So every coefficient comes with what it is made of.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from winnow.core.statistics import Estimate, Totals, cluster_bootstrap, ratio

_SEED = 20180101  # of all resampling here
_KAPPA_DRAWS = 2000  # kappas are many; a flip rate has the usual number


class Pair(NamedTuple):
    """Two answers to one question about one text.

    Attributes:
        cluster: what is drawn together when intervals are made: the prompt.
        first: yes is True; None where there is no answer.
        second: likewise, by the other judge.
    """

    cluster: str
    first: bool | None
    second: bool | None


@dataclass(frozen=True)
class Table:
    """Two judges' yes/no answers to the same texts, counted.

    Attributes:
        both: texts that both said yes to.
        first: only the first.
        second: only the second.
        neither: both said no.
    """

    both: int
    first: int
    second: int
    neither: int

    @classmethod
    def of(cls, pairs: Iterable[tuple[bool, bool]]) -> "Table":
        """Count pairs of answers."""
        counts = Counter(pairs)
        return cls(counts[True, True], counts[True, False], counts[False, True], counts[False, False])

    @property
    def n(self) -> int:
        """How many texts."""
        return self.both + self.first + self.second + self.neither

    @property
    def prevalence(self) -> tuple[float, float] | None:
        """The share of yes of the first and of the second judge."""
        return ((self.both + self.first) / self.n, (self.both + self.second) / self.n) if self.n else None

    @property
    def observed(self) -> float | None:
        """The share of texts with equal answers (po)."""
        return (self.both + self.neither) / self.n if self.n else None

    @property
    def expected(self) -> float | None:
        """The same if both answered at random with their own shares of yes (pe)."""
        if self.prevalence is None:
            return None
        first, second = self.prevalence
        return first * second + (1 - first) * (1 - second)


def cohen_kappa(table: Table) -> float | None:
    """Return (po - pe) / (1 - pe); None without texts, or where both always gave one and the same answer.

    Source: Cohen 1960.
    """
    if table.observed is None or table.expected is None or table.n in {table.both, table.neither}:
        return None
    return (table.observed - table.expected) / (1 - table.expected)


def gwet_ac1(table: Table) -> float | None:
    """Return (po - pg) / (1 - pg) with pg = 2q(1 - q) and q the mean share of yes; None without texts.

    It does not collapse where one answer is rare, as kappa does.

    Source: Gwet 2008, equation 4, for two judges and two categories.
    """
    if table.observed is None or table.prevalence is None:
        return None
    yes = sum(table.prevalence) / 2
    chance = 2 * yes * (1 - yes)
    return (table.observed - chance) / (1 - chance)


def krippendorff_alpha(units: Iterable[Sequence[Hashable | None]]) -> float | None:
    """Return the nominal alpha, 1 - Do / De, of any number of judges; an answer may be missing.

    With o_ck the coincidences of values c and k, each unit of m >= 2 answers adding its ordered pairs divided by
    m - 1, n_c their sums and n the sum of those: Do = sum of o_ck over c != k, divided by n, and De = sum of n_c n_k
    over c != k, divided by n(n - 1).

    Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C.

    Args:
        units: for each text the answers of the judges, None where there is none.

    Returns:
        Alpha, or None where no unit has two answers or all answers are the same.
    """
    totals: Counter[Hashable] = Counter()
    disagreement = 0.0
    for unit in units:
        counts = Counter(answer for answer in unit if answer is not None)
        answers = counts.total()
        if answers < 2:
            continue
        totals.update(counts)
        disagreement += sum(count * (answers - count) for count in counts.values()) / (answers - 1)
    n = totals.total()
    by_chance = n * n - sum(count * count for count in totals.values())
    if not by_chance:
        return None
    return 1 - (n - 1) * disagreement / by_chance


def as_bool(answer: str | None) -> bool | None:
    """Return an answer as the two values that are counted; None stays None."""
    return None if answer is None else answer == "yes"


def coefficients(pairs: Iterable[Pair], first: str, second: str) -> dict[str, Any]:
    """Return how far two judges agree on one item, and what that is made of.

    A pair with an answer missing is neither agreement nor disagreement: it is left out, and `n` says how many are left.

    Args:
        pairs: their answers.
        first: the name under which the first judge's share of yes is given.
        second: the same of the second.
    """
    answered = _answered(pairs)
    table = Table.of((one, other) for _, one, other in answered)
    shares = table.prevalence or (None, None)
    kappa = cohen_kappa(table)
    values = {
        first: shares[0],
        second: shares[1],
        "observed_agreement": table.observed,
        "expected_agreement": table.expected,
        "kappa": kappa,
        "ac1": gwet_ac1(table),
        "alpha": krippendorff_alpha((one, other) for _, one, other in answered),
    }
    rounded = {name: None if value is None else round(value, 6) for name, value in values.items()}
    return {"n": table.n, "kappa_interval": None if kappa is None else _kappa_interval(answered)} | rounded


def known_kappas(items: Iterable[Mapping[str, Any]]) -> list[float]:
    """Return the kappas of those items that have one, from what `coefficients` returned of each."""
    return [entry["kappa"] for entry in items if entry["kappa"] is not None]


def mean_kappa(items: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the mean of them, rounded to 6; None where there is none."""
    kappas = known_kappas(items)
    return round(fmean(kappas), 6) if kappas else None


def flip_rate(pairs: Iterable[Pair]) -> dict[str, Any]:
    """Return the share of pairs, both answered, whose answers differ.

    The interval (95 %) is from resampling clusters. Where no pair or every pair differs, resampling shows no
    spread, which does not mean that there is none: then there is no interval.
    """
    answered = _answered(pairs)
    flips = sum(first != second for _, first, second in answered)
    rows = ((cluster, (first != second, 1)) for cluster, first, second in answered)
    estimate = cluster_bootstrap(rows, ratio, seed=_SEED) if 0 < flips < len(answered) else None
    return {
        "n": len(answered),
        "flips": flips,
        "rate": round(flips / len(answered), 6) if answered else None,
        "interval": _bounds(estimate),
    }


def _answered(pairs: Iterable[Pair]) -> list[tuple[str, bool, bool]]:
    return [(one.cluster, one.first, one.second) for one in pairs if one.first is not None and one.second is not None]


def _kappa_interval(pairs: Sequence[tuple[str, bool, bool]]) -> list[float] | None:
    """Return a 95 % interval of kappa from resampling whole clusters; None where it has no meaning."""
    rows = (
        (cluster, (first and second, first and not second, second and not first, 1)) for cluster, first, second in pairs
    )
    return _bounds(cluster_bootstrap(rows, _kappas, seed=_SEED, draws=_KAPPA_DRAWS))


def _bounds(estimate: Estimate | None) -> list[float] | None:
    if estimate is None or estimate.interval is None or not np.isfinite(estimate.interval).all():
        return None
    return [round(bound, 6) for bound in estimate.interval]


def _kappas(totals: Totals) -> Totals:
    """Return kappa for rows of counts: both, first only, second only, all. Shape: [draws, 4] → [draws]."""
    both, first_only, second_only, n = totals.T
    first, second = (both + first_only) / n, (both + second_only) / n
    observed = 1 - (first_only + second_only) / n
    expected = first * second + (1 - first) * (1 - second)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((observed - expected) / (1 - expected))
