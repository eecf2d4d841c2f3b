"""Tests and corrections: equal to known implementations and to published numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.proportion import proportion_confint

from winnow.core.statistics import bootstrap_tail, cluster_bootstrap, ratio_difference, t_quantile, wilson_interval
from winnow.evaluation.significance import (
    holm,
    mcnemar,
    minimum_detectable,
    never_different_interval,
    sign_flip,
    standard_error,
    t_interval,
    wilcoxon_p,
)


def zeros_and_ones(both, only_ours, only_theirs, neither):
    ours = [1.0] * both + [1.0] * only_ours + [0.0] * only_theirs + [0.0] * neither
    theirs = [1.0] * both + [0.0] * only_ours + [1.0] * only_theirs + [0.0] * neither
    return np.array(ours), np.array(theirs)


@given(*(st.integers(0, 40) for _ in range(4)))
def test_mcnemar_equals_statsmodels_and_the_formula(both, b, c, neither):
    found = mcnemar(*zeros_and_ones(both, b, c, neither))
    theirs = statsmodels_mcnemar([[both, b], [c, neither]], exact=True).pvalue if b + c else 1.0
    formula = min(1.0, 2 * sum(math.comb(b + c, i) for i in range(min(b, c) + 1)) / 2 ** (b + c))
    assert (found.only_ours, found.only_theirs) == (b, c)
    assert found.p == pytest.approx(theirs, abs=1e-12)
    assert found.p == pytest.approx(formula, abs=1e-12)


def test_exchanging_signs_equals_scipys_permutation_test():
    generator = np.random.default_rng(0)
    for prompts in (3, 8, 12):
        differences = np.round(generator.normal(0.3, 1, prompts), 1)  # ties and zeros among them
        kept = differences[differences != 0]
        exact = stats.permutation_test((kept,), np.mean, permutation_type="samples", n_resamples=np.inf)
        found = sign_flip(differences)
        assert (found.name, found.p) == ("sign_flip_exact", pytest.approx(exact.pvalue, abs=1e-12))
    many = generator.normal(0.2, 1, 80)
    found = sign_flip(many)
    # 20,000 patterns: a standard error of 0.002; Student's test is close with so many normal differences.
    assert found.name == "sign_flip"
    assert found.p == pytest.approx(stats.ttest_1samp(many, 0).pvalue, abs=0.01)
    assert sign_flip(many) == found
    assert sign_flip(np.zeros(5)).p == 1.0


def test_five_prompts_cannot_reject_and_six_can():
    assert sign_flip(np.arange(1.0, 6.0)).p == 2 / 2**5 > 0.05
    assert sign_flip(np.arange(1.0, 7.0)).p == 2 / 2**6 < 0.05


def test_holm_by_hand():
    # Sorted .005 · 4, .01 · 3, .03 · 2, .04 · 1, never below the one before: .02, .03, .06, .06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_statsmodels(counts):
    assert wilson_interval(*counts) == pytest.approx(proportion_confint(*counts, method="wilson"), abs=1e-9)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 30, 199, 1318])
def test_students_quantiles_equal_scipys(freedom):
    for probability in (0.001, 0.025, 0.6, 0.975, 0.9999):
        assert t_quantile(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-8)


def test_a_tail_makes_a_resampled_mean_as_wide_as_students_interval():
    values = np.random.default_rng(3).normal(size=15)
    # A resampled mean is about normal with the spread of n instead of n - 1.
    normal = stats.norm.ppf(bootstrap_tail(15)) * values.std() / math.sqrt(15)
    assert -normal == pytest.approx(stats.t.ppf(0.975, 14) * stats.sem(values))
    assert bootstrap_tail(10_000) == pytest.approx(0.025, abs=1e-4)


def test_students_interval_equals_scipys():
    values = np.random.default_rng(4).normal(size=6)
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert t_interval(values, values.mean()) == pytest.approx((expected.low, expected.high))
    assert t_interval(values[:1], values[0]) is None


def test_shares_that_were_never_different_may_still_differ():
    low, high = never_different_interval(8)
    assert high == pytest.approx(proportion_confint(0, 8, method="beta")[1])  # Clopper and Pearson
    assert low == -high


def test_wilcoxon_equals_scipy():
    for differences in ([1.0, -2.0, 0.0, 3.0, 4.0, 5.0, -0.5], [1.0, 1.0, -1.0, 2.0, 2.0, 2.0, -0.5, 3.0]):
        assert wilcoxon_p(np.array(differences)) == pytest.approx(stats.wilcoxon(differences).pvalue, abs=1e-12)
    many = np.random.default_rng(6).choice([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0], 150)
    assert wilcoxon_p(many) == pytest.approx(stats.wilcoxon(many).pvalue, abs=0.01)
    assert wilcoxon_p(np.zeros(4)) == 1.0


def test_what_a_test_could_have_found():
    differences = np.random.default_rng(5).normal(0.1, 1, 100)
    error = standard_error(differences)
    assert error == pytest.approx(stats.sem(differences))
    # statsmodels: the effect that a paired t-test of 100 finds at 0.05 four times out of five.
    from statsmodels.stats.power import TTestPower

    detectable = TTestPower().solve_power(nobs=100, alpha=0.05, power=0.8) * differences.std(ddof=1)
    assert minimum_detectable(error) == pytest.approx(detectable, rel=0.03)
    assert minimum_detectable(standard_error(np.ones(9))) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "n", "z"),
    [
        (32.7, 29.0, 1319, 2.1),  # GSM8K
        (78, 77, 100, 0.2),  # SimpleSafetyTests
        (5.3, 4.5, 805, 0.7),  # AlpacaEval
        (52.0, 42.1, 5000, 10.0),  # mathematics, filtered against all
        (73.8, 69.8, 1000, 2.0),  # sarcasm, DPO against SFT
    ],
)
def test_published_differences_are_worth_what_the_field_notes_say(ours, theirs, n, z):
    """Unpaired: each row is in one of the two runs only, so that resampling draws them apart."""
    rows = []
    for share, columns in ((ours, (0, 1)), (theirs, (2, 3))):
        right = round(share / 100 * n)
        for number in range(n):
            row = [0.0] * 4
            row[columns[0]], row[columns[1]] = float(number < right), 1.0
            rows.append((f"{columns[0]}-{number:05d}", row))
    found = cluster_bootstrap(rows, ratio_difference, seed=0, draws=1_000)
    error = (found.interval[1] - found.interval[0]) / (2 * 1.96)
    assert found.value / error == pytest.approx(z, abs=0.06 + 0.06 * z)
