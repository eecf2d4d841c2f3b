"""Tests of paired differences, and the correction for making many of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from winnow.core.statistics import t_quantile

Numbers = NDArray[np.float64]

SIGN_DRAWS = 20_000
EXACT_UP_TO = 14  # prompts: 2^14 sign patterns
# 1.96 + 0.84, the normal quantiles of a two-sided test at 0.05 and of a power of 0.8.
DETECTABLE = 2.8


@dataclass(frozen=True)
class Tested:
    """What a test of a paired difference says.

    Attributes:
        name: "mcnemar", "sign_flip_exact" or "sign_flip".
        p: two-sided.
        only_ours: McNemar's b, the prompts that only we get right; None for other tests.
        only_theirs: McNemar's c.
    """

    name: str
    p: float
    only_ours: int | None = None
    only_theirs: int | None = None


@lru_cache(maxsize=2)
def _drawn_signs(prompts: int) -> Numbers:
    return np.asarray(1.0 - 2.0 * np.random.default_rng(0).integers(0, 2, (SIGN_DRAWS, prompts)))


@lru_cache(maxsize=EXACT_UP_TO)
def _every_sign(prompts: int) -> Numbers:
    return np.asarray(1.0 - 2.0 * (np.arange(2**prompts)[:, None] >> np.arange(prompts) & 1))


def _signs(prompts: int) -> Numbers:
    """Return +1 and -1 for each prompt: all patterns of few prompts, drawn ones of many. Shape: [patterns, prompts]."""
    if prompts <= EXACT_UP_TO:
        return _every_sign(prompts)
    # Metrics differ in how many prompts they have: the next power of two is drawn once for all of them.
    return _drawn_signs(1 << (prompts - 1).bit_length())[:, :prompts]


def sign_flip(differences: Numbers) -> Tested:
    """Test by exchanging the two runs at random within prompts.

    If the runs do not differ, each prompt's difference is as likely to have the other sign. p is the share of sign
    patterns whose mean is at least as far from 0: of all patterns up to 14 prompts, of 20,000 seeded ones (the
    observed one among them) above. Prompts without any difference say nothing and are left out. Unlike the p of a
    percentile bootstrap it holds its error rate with few prompts too.

    Source: Fisher 1935, section 21; Phipson and Smyth 2010, equation 2 (drawn patterns).

    Args:
        differences: the mean difference of each prompt. Shape: [prompts].
    """
    told = differences[differences != 0]
    name = "sign_flip_exact" if len(told) <= EXACT_UP_TO else "sign_flip"
    if not len(told):
        return Tested(name, 1.0)
    observed = abs(told.sum())
    # Sums of equal numbers in another order differ in their last digits.
    extreme = int((np.abs(_signs(len(told)) @ told) >= observed * (1 - 1e-9)).sum())
    return Tested(name, extreme / 2 ** len(told) if name == "sign_flip_exact" else (1 + extreme) / (1 + SIGN_DRAWS))


def mcnemar(ours: Numbers, theirs: Numbers) -> Tested:
    """Test paired zeros and ones, one of each prompt, by McNemar's exact test.

    p = min(1, 2 · Σ_{i ≤ min(b, c)} C(b+c, i) / 2^(b+c)), with b and c the prompts that only one of the two gets right.

    Source: McNemar 1947; the exact form of statsmodels' `mcnemar(exact=True)`.
    """
    from scipy.stats import binomtest  # noqa: PLC0415 - takes a second to import

    b, c = int(((ours == 1) & (theirs == 0)).sum()), int(((ours == 0) & (theirs == 1)).sum())
    p = float(binomtest(b, b + c, 0.5).pvalue) if b + c else 1.0
    return Tested("mcnemar", p, b, c)


def wilcoxon_p(differences: Numbers) -> float:
    """Return the p of Wilcoxon's signed-rank test, for ratings, whose steps need not be equal.

    The signs of ranks are exchanged as in `sign_flip`: exact up to 14 prompts that differ, ties among them or not.

    Source: Wilcoxon 1945 (prompts without difference left out), mid-ranks for ties.
    """
    from scipy.stats import rankdata  # noqa: PLC0415 - takes a second to import

    told = differences[differences != 0]
    return sign_flip(np.sign(told) * rankdata(np.abs(told))).p


def holm(ps: Sequence[float]) -> list[float]:
    """Return p-values that may each be compared with the level of the whole family.

    Source: Holm 1979; statsmodels' `multipletests(method="holm")`.
    """
    if not ps:
        return []
    from statsmodels.stats.multitest import multipletests  # noqa: PLC0415 - takes seconds to import

    return [float(p) for p in multipletests(ps, method="holm")[1]]


def standard_error(differences: Numbers) -> float | None:
    """Return the standard error of the mean over prompts; None for a single prompt, or where nothing varies."""
    spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0
    return spread / math.sqrt(len(differences)) if spread > 1e-12 else None


def minimum_detectable(error: float | None) -> float | None:
    """Return the difference that a test at 0.05 finds four times out of five: 2.8 standard errors.

    None where the standard error is not known. Corrected for a family, a test needs a larger one.

    Source: Miller 2024 (arXiv 2411.00640), section 5.
    """
    return None if error is None else DETECTABLE * error


def t_interval(means: Numbers, centre: float, level: float = 0.95) -> tuple[float, float] | None:
    """Return Student's interval from the means of prompts, for few of them; None for a single one.

    Args:
        means: of each prompt. Shape: [prompts].
        centre: what the interval is of: their mean, or the mean over rows where prompts have unlike many.
        level: of the interval.
    """
    if len(means) < 2:
        return None
    half = t_quantile((1 + level) / 2, len(means) - 1) * (standard_error(means) or 0.0)
    return centre - half, centre + half


def never_different_interval(prompts: int, level: float = 0.95) -> tuple[float, float]:
    """Return how far apart two shares may be that were equal on every one of so many prompts.

    A resample of nothing but zeros has no spread, which is no knowledge. The share of prompts with a difference is at
    most 1 - ((1 - level) / 2)^(1 / prompts), and so is the difference.

    Source: Clopper and Pearson 1934, for no success (the "rule of three").
    """
    most = 1 - ((1 - level) / 2) ** (1 / prompts)
    return -most, most
