"""Hydra's words for what is swept become the distributions that they mean."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from ctc_lightning.sweep.space import distribution_of


def parse(text):
    return distribution_of(OverridesParser.create().parse_override(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1,2,5", CategoricalDistribution(["1", "2", "5"])),
        ("a=choice(x,[1,2],x)", CategoricalDistribution(["x", "[1,2]"])),
        ("a=range(2,9,step=3)", IntDistribution(2, 8, step=3)),
        ("a=range(0,1,step=0.25)", FloatDistribution(0, 0.75, step=0.25)),
        ("a=interval(0.5,2)", FloatDistribution(0.5, 2)),
        ("a=int(interval(3,9))", IntDistribution(3, 9)),
        ("a=tag(log,interval(0.03,1))", FloatDistribution(0.03, 1, log=True)),
        ("a=tag(log,int(interval(64,1024)))", IntDistribution(64, 1024, log=True)),
    ],
)
def test_each_word_is_its_distribution(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["a=interval(2,1)", "a=tag(log,interval(0,1))"])
def test_bounds_that_cannot_be_are_named(text):
    with pytest.raises(ValueError, match=r"a=.* cannot be searched: "):
        parse(text)
