"""Hashes: what they must tell apart, and the draws that follow from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.core.ids import canonical_json, content_key, shard_of, unit_interval


def test_parts_are_kept_apart():
    assert content_key(["ab", "c"]) != content_key(["a", "bc"]) != content_key(["abc"])


def test_equal_values_have_one_json():
    assert (
        canonical_json({"b": 1, "a": [1.5, None]})
        == '{"a":[1.5,null],"b":1}'
        == canonical_json({"a": [1.5, None], "b": 1})
    )
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"a": float("inf")})


@given(st.text(), st.text())
def test_a_draw_lies_in_the_unit_interval(key, salt):
    assert 0 <= unit_interval(key, salt) < 1


def test_draws_are_even_and_salts_independent():
    keys = [str(number) for number in range(10_000)]
    below = {key for key in keys if unit_interval(key, "a") < 0.2}
    both = {key for key in below if unit_interval(key, "b") < 0.2}
    assert 1_880 < len(below) < 2_120  # three standard errors about 2,000
    assert 320 < len(both) < 480  # and about a fifth of those


@given(st.text(), st.integers(1, 50))
def test_a_shard_is_one_of_the_shards(key, shards):
    assert 0 <= shard_of(key, shards) < shards
