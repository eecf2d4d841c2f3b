"""NAME=PATH arguments."""

from pathlib import Path

import pytest

from winnow.core.errors import WinnowError
from winnow.core.named_paths import named_paths, path_groups


@pytest.mark.parametrize("arguments", [["sft"], ["=x"], ["sft="], ["sft=a", "sft=b"]])
def test_a_wrong_argument_is_an_error_that_names_its_option(arguments):
    with pytest.raises(WinnowError, match="--others"):
        named_paths(arguments, "--others")


def test_paths_come_in_the_order_of_names_and_may_hold_the_sign():
    assert named_paths(["b=x", "a=y=z"], "--others") == {"a": Path("y=z"), "b": Path("x")}
    assert list(named_paths(["b=x", "a=y"], "--others")) == ["a", "b"]


def test_a_name_may_have_several_paths_which_keep_their_order():
    assert path_groups(["b=2", "a=1", "b=1"], "--judged") == {"a": [Path("1")], "b": [Path("2"), Path("1")]}
