"""Simulated runs: intervals cover and tests err as often as they say. Bounds are the binomial spread of the counts."""

import gc
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "verdicts.py"


@pytest.fixture(scope="module")
def verdicts():
    spec = importlib.util.spec_from_file_location("verdicts", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    sys.modules["verdicts"] = module  # dataclasses look for their module there
    spec.loader.exec_module(module)
    gc.freeze()  # statsmodels collects garbage in each correction, which takes long beside all that tests have loaded
    yield module
    gc.unfreeze()
    del sys.modules["verdicts"]


def at_least(share, simulations):
    """A count below it would be seen once in a thousand such tests."""
    return binom.ppf(0.001, simulations, share) / simulations


def at_most(share, simulations):
    return binom.ppf(0.999, simulations, share) / simulations


@pytest.mark.parametrize(("world", "prompts"), [(0, 60), (1, 12), (2, 5), (3, 8), (3, 60)])
def test_intervals_cover_and_tests_err_as_often_as_they_say(verdicts, world, prompts):
    count = 250
    found = verdicts.rates(verdicts.WORLDS[world], prompts, count)
    assert found.covered >= at_least(0.94, count)
    assert found.false_alarms <= at_most(0.05, count)
    assert found.value >= at_least(0.92, count)
    if prompts == 60:
        # McNemar's exact test is careful: it finds less often than the 0.8 of 2.8 standard errors.
        assert at_least(0.8 if world else 0.7, count) <= found.found <= at_most(0.82, count)
    if prompts == 5:
        # The plain percentile interval, which is not used, is caught by the same bound.
        assert found.percentile < at_least(0.94, count)


def test_a_family_errs_once_in_twenty(verdicts):
    generator = np.random.default_rng(1)
    found = np.mean([verdicts.family(generator, 25, 2, 0) for _ in range(120)], axis=0)
    assert found[0] <= at_most(0.05, 120)
    assert found[1] > at_most(0.05, 120)  # ten tests without correction


def test_planted_effects_get_their_verdicts_in_a_family(verdicts):
    generator = np.random.default_rng(2)
    assert np.mean([verdicts.family(generator, 40, 2, 2)[2] for _ in range(20)]) > 0.9


@pytest.mark.parametrize(("seeds", "spread"), [(3, 0.0), (3, 0.5), (5, 0.5)])
def test_intervals_over_seeds_cover(verdicts, seeds, spread):
    assert verdicts.seeds_covered(seeds, 30, spread, 200)[0] >= at_least(0.94, 200)


def test_intervals_of_metrics_of_sets_cover(verdicts):
    for name, covered in verdicts.sets_covered(30, 80).items():
        assert covered >= at_least(0.92, 80), name


def test_a_pure_effect_of_length_is_none_at_equal_length(verdicts):
    controlled, as_it_is = verdicts.length_covered(40, 200)
    assert controlled >= at_least(0.93, 200)
    assert as_it_is < 0.2
