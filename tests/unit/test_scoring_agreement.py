"""Coefficients of agreement, against worked examples and scikit-learn."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from winnow.scoring.agreement import Table, cohen_kappa, gwet_ac1, krippendorff_alpha


def test_kappa_by_hand():
    # 50 texts: 20 both yes, 5 first only, 10 second only, 15 neither.
    # po = 35/50; yes shares 1/2 and 3/5; pe = 1/2 * 3/5 + 1/2 * 2/5 = 1/2; kappa = 0.2/0.5.
    table = Table(20, 5, 10, 15)
    assert table.observed == 0.7
    assert table.expected == 0.5
    assert table.prevalence == (0.5, 0.6)
    assert cohen_kappa(table) == pytest.approx(0.4)


def test_ac1_by_hand():
    # The same: q = (0.5 + 0.6)/2 = 0.55; pg = 2 * 0.55 * 0.45 = 0.495; (0.7 - 0.495)/0.505.
    assert gwet_ac1(Table(20, 5, 10, 15)) == pytest.approx(0.205 / 0.505)


def test_the_kappa_paradox():
    # Feinstein and Cicchetti: 85 % agreement each, but kappa falls with prevalence and AC1 does not.
    even, skewed = Table(40, 9, 6, 45), Table(80, 10, 5, 5)
    assert even.observed == skewed.observed == 0.85
    assert cohen_kappa(even) == pytest.approx(0.70, abs=0.005)
    assert cohen_kappa(skewed) == pytest.approx(0.32, abs=0.005)
    assert gwet_ac1(skewed) > 0.8


@pytest.mark.parametrize(
    ("table", "kappa", "ac1"),
    [
        (Table(0, 0, 0, 0), None, None),  # nothing compared
        (Table(9, 0, 0, 0), None, 1.0),  # never anything but yes: kappa is 0/0
        (Table(0, 0, 0, 9), None, 1.0),
        (Table(5, 0, 0, 5), 1.0, 1.0),
        (Table(0, 5, 5, 0), -1.0, -1.0),
        (Table(0, 9, 0, 0), 0.0, -1.0),  # always opposite, by two constants
    ],
)
def test_the_edges(table, kappa, ac1):
    assert cohen_kappa(table) == (None if kappa is None else pytest.approx(kappa))
    assert gwet_ac1(table) == (None if ac1 is None else pytest.approx(ac1))


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_kappa_is_that_of_scikit_learn(pairs):
    ours = cohen_kappa(Table.of(pairs))
    if ours is None:
        assert len({value for pair in pairs for value in pair}) == 1
        return
    first, second = zip(*pairs, strict=True)
    assert ours == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)


# Krippendorff 2011, section C: four observers, twelve units, missing values; nominal alpha 0.743.
PUBLISHED = [
    (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
    (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
]


def test_alpha_of_the_published_example():
    assert krippendorff_alpha(zip(*PUBLISHED, strict=True)) == pytest.approx(0.743, abs=0.0005)


def test_alpha_of_the_published_binary_example():
    # Krippendorff 2011, section A: two observers, ten units, alpha 0.095.
    first, second = (0, 1, 0, 0, 0, 0, 0, 0, 1, 0), (1, 1, 1, 0, 0, 1, 0, 0, 0, 0)
    assert krippendorff_alpha(zip(first, second, strict=True)) == pytest.approx(0.095, abs=0.0005)


def test_a_unit_with_one_answer_says_nothing():
    units = [(1, 1), (2, 1), (2, 2)]
    assert krippendorff_alpha([*units, (3, None), (None, None)]) == krippendorff_alpha(units)


@pytest.mark.parametrize("units", [[], [(1, None)], [(1, 1), (1, 1)]])
def test_alpha_without_anything_to_compare(units):
    assert krippendorff_alpha(units) is None


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from([1, 2, 3, None]), min_size=2, max_size=5), max_size=20))
def test_alpha_is_one_at_most_and_exactly_where_all_agree(units):
    alpha = krippendorff_alpha(units)
    if alpha is not None:
        agree = all(len({value for value in unit if value is not None}) <= 1 for unit in units)
        assert (alpha == 1) == agree
        assert alpha <= 1
