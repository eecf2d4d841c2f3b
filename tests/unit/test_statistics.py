"""Intervals: equal to known implementations, and covering the truth as often as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from winnow.core.statistics import cluster_bootstrap, cluster_totals, ratio, ratio_difference, wilson_interval


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipy(counts):
    ours = wilson_interval(*counts)
    theirs = stats.binomtest(*counts).proportion_ci(0.95, method="wilson")
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_no_trials_have_no_interval():
    assert wilson_interval(0, 0) is None
    assert cluster_bootstrap([], ratio, seed=0) is None


def test_totals_do_not_depend_on_the_order_of_rows():
    rows = [("b", (0.1, 1.0)), ("a", (1e16, 1.0)), ("b", (0.2, 1.0)), ("a", (-1e16, 1.0)), ("a", (0.3, 1.0))]
    assert cluster_totals(rows).tolist() == cluster_totals(rows[::-1]).tolist() == [[0.3, 3.0], [0.1 + 0.2, 2.0]]


def test_bootstrap_equals_scipy_where_every_row_is_its_own_cluster():
    values = np.random.default_rng(1).gamma(2.0, size=60)
    ours = cluster_bootstrap(((f"{i:02}", (value, 1.0)) for i, value in enumerate(values)), ratio, seed=5)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=0).confidence_interval
    assert ours.value == pytest.approx(values.mean())
    assert ours.interval == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_the_same_seed_gives_the_same_interval_and_another_a_close_one():
    rows = [(f"{i % 30}", (float(i % 7), 1.0)) for i in range(90)]
    first, again = (cluster_bootstrap(rows, ratio, seed=3) for _ in range(2))
    other = cluster_bootstrap(rows[::-1], ratio, seed=4)
    assert first == again
    assert first.interval != other.interval
    assert first.interval == pytest.approx(other.interval, abs=0.05)


def test_one_cluster_has_a_value_and_no_interval():
    estimate = cluster_bootstrap([("p", (3.0, 2.0)), ("p", (1.0, 2.0))], ratio, seed=0)
    assert (estimate.value, estimate.interval, estimate.clusters) == (1.0, None, 1)


def _clustered(generator, clusters, size, spread):
    """Rows whose cluster shares most of its deviation: the truth of the mean is 0."""
    common = generator.normal(0, spread, clusters)
    noise = generator.normal(0, 1, (clusters, size))
    return [(f"{c:03}", (float(common[c] + x), 1.0)) for c in range(clusters) for x in noise[c]]


def test_intervals_cover_the_truth_as_often_as_they_say():
    """400 simulations: the share covered has a standard error of 1.1 points. Single rows would cover 60 %."""
    generator, covered, covered_by_rows = np.random.default_rng(11), 0, 0
    for seed in range(400):
        rows = _clustered(generator, 40, 4, 2.0)
        low, high = cluster_bootstrap(rows, ratio, seed=seed, draws=400).interval
        covered += low <= 0 <= high
        single = [(str(i), values) for i, (_, values) in enumerate(rows)]
        low, high = cluster_bootstrap(single, ratio, seed=seed, draws=400).interval
        covered_by_rows += low <= 0 <= high
    assert 0.91 <= covered / 400 <= 0.98
    assert covered_by_rows / 400 < 0.8


def test_differences_have_the_nominal_error_rate_and_find_an_effect():
    """The paired interval leaves out zero in about 5 % of simulations without effect, and always with a large one."""
    generator, false_alarms, found = np.random.default_rng(12), 0, 0
    for seed in range(300):
        common = generator.normal(5, 2, 60)
        ours, theirs = common + generator.normal(0, 0.5, 60), common + generator.normal(0, 0.5, 60)
        for shift in (0.0, 0.5):
            rows = [(f"{i:02}", (ours[i] - shift, 1.0, theirs[i], 1.0)) for i in range(60)]
            low, high = cluster_bootstrap(rows, ratio_difference, seed=seed, draws=300).interval
            if shift:
                found += high < 0
            else:
                false_alarms += not low <= 0 <= high
    assert 0.02 <= false_alarms / 300 <= 0.10
    assert found / 300 > 0.98
