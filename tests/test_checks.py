"""Each check accepts what lies within the limit and names value, limit and remedy otherwise."""

import doctest
import math

import pytest

from ctc_lightning import checks
from ctc_lightning.checks import count, in_range, one_of


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        ("[0, 1]", (0, 1, 0.5), (-1e-9, 1.1)),
        ("[0, 1)", (0, 0.999), (1, -1)),
        ("(0, 1]", (1, 1e-9), (0, 2)),
        ("(0, inf)", (1e-30, 1e30), (0, -1, math.inf, math.nan)),
        ("(-inf, inf)", (-1e30, 0), (math.nan, -math.inf)),
    ],
)
def test_a_number_is_checked_against_both_ends(interval, inside, outside):
    in_range("part", interval, value=list(inside))
    for value in (*outside, "1", True, None, [inside[0], outside[0]], []):
        with pytest.raises(ValueError, match=r"^part: value is "):
            in_range("part", interval, value=value)


@pytest.mark.parametrize("value", [0, -1, 1.0, "3", True, None, math.nan, [], [3, 0]])
def test_a_count_is_a_whole_number(value):
    count("part", value=1)
    count("part", value=(3, 1))
    with pytest.raises(ValueError, match="whole number of at least 1"):
        count("part", value=value)


def test_the_first_wrong_option_is_named_with_limit_and_example():
    with pytest.raises(
        ValueError, match=r"^probe: decay is 2; it must be above 0 and at most 1, for example 0\.1\.$"
    ):
        in_range("probe", "(0, 1]", example=0.1, rate=0.5, decay=2)
    with pytest.raises(ValueError, match=r"^kNN: neighbours is \[0\]; give at least one value, each a whole"):
        count("kNN", neighbours=[0])


def test_a_choice_is_checked():
    one_of("bank", ("image", "class"), exclude="image")
    with pytest.raises(ValueError, match=r"exclude is 'none'; it must be one of 'image', 'class'\."):
        one_of("bank", ("image", "class"), exclude="none")


def test_the_examples_of_the_docstrings_hold():
    assert doctest.testmod(checks).failed == 0
