"""KSG against a double loop, Gaussians of known information, and where it fails. N: pairs, D: dimensions."""

import math

import numpy as np
import pytest
import torch
from scipy.special import digamma

from ctc_lightning.information.estimators import KSG, Pairs


def ksg(**changes):
    return KSG(**{"neighbours": 3, "max_dims": 3, "jitter": 1e-10, **changes})


def gaussians(num, dims, information, seed):
    """x and y = ρx + √(1 − ρ²) ε, each coordinate with its own: I = −D/2 log(1 − ρ²)."""
    rho = math.sqrt(1 - math.exp(-2 * information / dims))
    x, noise = torch.randn(2, num, dims, generator=torch.Generator().manual_seed(seed))
    return Pairs(x, rho * x + math.sqrt(1 - rho**2) * noise)


def halves(pairs):
    num = len(pairs.x_NC) // 2
    return pairs.rows(torch.arange(num)), pairs.rows(torch.arange(num, 2 * num))


def held_out(estimator, pairs, seed=0):
    train, held = halves(pairs)
    return estimator.fit(train, seed=seed)(held).value


def by_loops(judged, others, neighbours):
    """Eq. (8) of the paper, pair by pair."""
    x = torch.cat([judged.x_NC, others.x_NC]).double().numpy()
    y = torch.cat([judged.y_NE, others.y_NE]).double().numpy()
    x, y = x / x.std(0), y / y.std(0)
    total = 0.0
    for i in range(len(judged.x_NC)):
        rest = [j for j in range(len(x)) if j != i]
        apart_x = [max(abs(x[i] - x[j])) for j in rest]
        apart_y = [max(abs(y[i] - y[j])) for j in rest]
        radius = sorted(max(both) for both in zip(apart_x, apart_y, strict=True))[neighbours - 1]
        num_x, num_y = (sum(apart < radius for apart in all_) for all_ in (apart_x, apart_y))
        total += digamma(num_x + 1) + digamma(num_y + 1)
    return digamma(neighbours) + digamma(len(x)) - total / len(judged.x_NC)


@pytest.mark.parametrize("neighbours", [1, 3, 7])
@pytest.mark.parametrize(("dims_x", "dims_y"), [(1, 1), (2, 1), (3, 4)])
def test_it_is_the_formula_of_the_paper(neighbours, dims_x, dims_y):
    x, extra = torch.randn(2, 60, 4, generator=torch.Generator().manual_seed(dims_x + 10 * dims_y))
    train, held = halves(Pairs(5 * x[:, :dims_x], (x + extra)[:, :dims_y]))
    value = ksg(neighbours=neighbours, jitter=0, max_dims=4).fit(train, seed=0)(held).value
    assert value == pytest.approx(by_loops(held, train, neighbours), abs=1e-9)


def test_the_mean_over_folds_is_the_estimate_on_all_pairs():
    pairs, estimator = gaussians(200, 2, 1.0, seed=0), ksg(jitter=0)
    first, second = halves(pairs)
    folds = [estimator.fit(a, seed=0)(b).value for a, b in ((first, second), (second, first))]
    assert np.mean(folds) == pytest.approx(estimator.fit(pairs, seed=0)(pairs).value, abs=1e-9)


# 8 draws of 1000 pairs spread by about 0.05 nats each: 0.05 is 3 standard errors of their mean. In three
# dimensions neighbours are so far that a tenth is lost, which we promise as the bound of its use
@pytest.mark.parametrize(("dims", "lost"), [(1, 0.0), (2, 0.0), (3, 0.1)])
@pytest.mark.parametrize("information", [0.2, 1.0])
def test_gaussians_in_few_dimensions(dims, lost, information):
    values = [held_out(ksg(), gaussians(1000, dims, information, seed)) for seed in range(8)]
    assert information * (1 - lost) - 0.05 < np.mean(values) < information + 0.05


def test_much_information_in_one_dimension():
    values = [held_out(ksg(), gaussians(2000, 1, 3.0, seed)) for seed in range(4)]
    assert np.mean(values) == pytest.approx(3.0, abs=0.1)


def test_independent_pairs_have_none():
    values = [held_out(ksg(), gaussians(400, 2, 0.0, seed)) for seed in range(20)]
    assert abs(np.mean(values)) < 3 * np.std(values, ddof=1) / math.sqrt(20)


def test_many_dimensions_make_it_far_too_low_which_is_why_they_are_refused():
    pairs = gaussians(1000, 10, 8.0, seed=0)
    assert held_out(ksg(max_dims=10), pairs) < 6
    with pytest.raises(ValueError, match=r"x has 10 dimensions, at most 3 .* project it first"):
        held_out(ksg(), pairs)
    with pytest.raises(ValueError, match="y has 10 dimensions"):
        held_out(ksg(), pairs._replace(x_NC=pairs.x_NC[:, :2]))


def test_units_of_a_dimension_do_not_matter():
    pairs = gaussians(300, 2, 1.0, seed=1)
    in_others = Pairs(pairs.x_NC * torch.tensor([1e3, 1.0]) + 7, pairs.y_NE * torch.tensor([1.0, 1e-3]))
    assert held_out(ksg(), in_others) == pytest.approx(held_out(ksg(), pairs), abs=1e-2)


def test_a_constant_dimension_says_nothing():
    pairs = gaussians(300, 2, 1.0, seed=1)
    with_constant = pairs._replace(x_NC=torch.cat([pairs.x_NC, torch.full((300, 1), 0.1)], 1))
    assert held_out(ksg(jitter=0), with_constant) == held_out(ksg(jitter=0), pairs)


def test_copies_reach_the_ceiling_and_nothing_exceeds_it():
    x = torch.randn(200, 1, generator=torch.Generator().manual_seed(0))
    train, held = halves(Pairs(x, x.clone()))
    estimate = ksg(jitter=0).fit(train, seed=0)(held)
    assert estimate.ceiling == pytest.approx(digamma(200) - digamma(3))
    assert estimate.value == pytest.approx(estimate.ceiling)
    assert math.isnan(estimate.upper)
    train, held = halves(gaussians(200, 1, 12.0, seed=0))
    assert estimate.ceiling - 1 < ksg().fit(train, seed=0)(held).value <= estimate.ceiling


def test_jitter_breaks_ties():
    pairs = gaussians(600, 1, 1.0, seed=2)
    rounded = Pairs(pairs.x_NC.round(decimals=1), pairs.y_NE.round(decimals=1))
    exact = held_out(ksg(), pairs)
    assert abs(held_out(ksg(jitter=1e-6), rounded) - exact) < abs(held_out(ksg(jitter=0), rounded) - exact)


def test_its_configuration_builds_it(configured):
    assert configured("ksg").settings == ksg().settings
    assert held_out(configured("ksg"), gaussians(1000, 1, 1.0, seed=5)) == pytest.approx(1.0, abs=0.15)


def test_it_says_what_it_is():
    assert not ksg().is_lower_bound
    assert not ksg().learns
    assert ksg().uses_x
    assert ksg().settings == {"neighbours": 3, "max_dims": 3, "jitter": 1e-10}


def test_draws_depend_on_the_seed_alone():
    pairs, estimator = gaussians(100, 1, 1.0, seed=3), ksg(jitter=1e-2)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002  # which none may use
    assert held_out(estimator, pairs, seed=0) == held_out(estimator, pairs, seed=0)
    assert held_out(estimator, pairs, seed=0) != held_out(estimator, pairs, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert repr(np.random.get_state()) == repr(numpy_state)  # noqa: NPY002


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"neighbours": 0}, "neighbours is 0; it must be a whole number of at least 1"),
        ({"max_dims": 0}, "max_dims is 0"),
        ({"jitter": -1e-9}, r"jitter is -1e-09; it must be at least 0 and at most 0\.01"),
        ({"jitter": 0.5}, "jitter is 0.5"),
    ],
)
def test_options_out_of_range_are_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        ksg(**changes)


def test_pairs_that_cannot_be_measured_are_refused():
    pairs = gaussians(40, 1, 1.0, seed=4)
    with pytest.raises(ValueError, match="3 pairs, at least 4 are needed"):
        ksg().fit(pairs.rows(torch.arange(3)), seed=0)
    with pytest.raises(ValueError, match="all 40 pairs have the same x"):
        ksg().fit(pairs._replace(x_NC=torch.ones(40, 1)), seed=0)
    with pytest.raises(ValueError, match="all 40 pairs have the same y"):
        ksg().fit(pairs._replace(y_NE=torch.zeros(40, 1)), seed=0)
    broken = pairs._replace(x_NC=pairs.x_NC.clone())
    broken.x_NC[5] = math.nan
    with pytest.raises(ValueError, match="1 of 40 pairs have a value of x that is not finite"):
        ksg().fit(broken, seed=0)
    fitted = ksg().fit(pairs, seed=0)
    with pytest.raises(ValueError, match="not finite"):
        fitted(broken)
    with pytest.raises(ValueError, match="0 pairs, at least 1"):
        fitted(pairs.rows(torch.arange(0)))
