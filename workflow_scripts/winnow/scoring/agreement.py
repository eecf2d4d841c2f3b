"""How far two judges agree on yes and no, beyond what chance would give.

Raw agreement overstates: where nearly all answers are yes, two coins of that bias agree nearly always.
So every coefficient comes with what it is made of.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass


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
