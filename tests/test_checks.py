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


def test_a_number_that_is_not_finite_is_told_that_it_must_be():
    with pytest.raises(ValueError, match=r"^fit: strengths is \[inf\]; .* each a finite number, above 0\.$"):
        in_range("fit", "(0, inf)", strengths=[math.inf])
    with pytest.raises(ValueError, match=r"^fit: strength is -1; it must be above 0\.$"):
        in_range("fit", "(0, inf)", strength=-1)


def test_null_is_a_value_only_where_it_is_allowed():
    in_range("kNN", "(0, inf)", null=True, temperatures=[None, 0.1], smoothing=None)
    one_of("part", ["cifar"], null=True, stem=None)
    with pytest.raises(ValueError, match=r"^part: stem is None; it must be one of 'cifar'\.$"):
        one_of("part", ["cifar"], stem=None)


def test_a_choice_is_checked():
    one_of("bank", ("image", "class"), exclude="image")
    with pytest.raises(ValueError, match=r"exclude is 'none'; it must be one of 'image', 'class'\."):
        one_of("bank", ("image", "class"), exclude="none")


def test_the_examples_of_the_docstrings_hold():
    assert doctest.testmod(checks).failed == 0
