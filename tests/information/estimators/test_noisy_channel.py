"""Both bounds against loops, numeric integration and closed forms, below and above log N.

N: pairs, E: dimensions
"""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from ctc_lightning.information.estimators import NoisyChannel, Pairs, noisy_channel


def channel(clean_NE, noise, seed=0):
    """Pairs whose x and y no bound may need."""
    epsilon = torch.randn(clean_NE.shape, generator=torch.Generator().manual_seed(seed))
    return Pairs(clean_NE[:, :1], clean_NE + noise * epsilon, clean_NE, noise)


def gaussian(num, dims, information, seed):
    """Clean features with variance 1: I = E/2 log(1 + 1/σ²)."""
    noise = 1 / math.sqrt(math.expm1(2 * information / dims))
    clean = torch.randn(num, dims, generator=torch.Generator().manual_seed(seed))
    return channel(clean, noise, seed)


def two_points(num, noise, seed):
    """Clean features −1 and 1, as likely."""
    sign = torch.randint(2, (num, 1), generator=torch.Generator().manual_seed(seed))
    return channel(2.0 * sign - 1, noise, seed)


def two_point_information(noise):
    """H(y) − H(noise) by numeric integration."""

    def entropy_density(y):
        density = (norm.pdf(y, -1, noise) + norm.pdf(y, 1, noise)) / 2
        return -density * math.log(density) if density > 0 else 0.0

    entropy, _ = quad(entropy_density, -1 - 10 * noise, 1 + 10 * noise, points=[-1, 0, 1], limit=200)
    return entropy - math.log(2 * math.pi * math.e * noise**2) / 2


def halves(pairs):
    num = len(pairs.x_NC) // 2
    return pairs.rows(torch.arange(num)), pairs.rows(torch.arange(num, 2 * num))


def held_out(pairs, draws=4, seed=0):
    train, held = halves(pairs)
    return NoisyChannel(draws=draws).fit(train, seed=seed)(held)


def by_loops(judged, others, noise, draws):
    """InfoNCE with the true density, and the leave-one-out bound, pair by pair, with draws of their own."""
    clean = torch.cat([judged, others]).double().numpy()
    random = np.random.default_rng(7)
    lower, upper = [], []
    for i in range(len(judged)):
        for _ in range(draws):
            y = clean[i] + noise * random.normal(size=clean.shape[1])
            p = [math.exp(-((y - clean[j]) ** 2).sum() / (2 * noise**2)) for j in range(len(clean))]
            lower.append(math.log(p[i] / np.mean(p)))
            upper.append(math.log(p[i] / np.mean([p[j] for j in range(len(clean)) if j != i])))
    return np.mean(lower), np.mean(upper)


def test_it_is_the_definition_within_the_draws_of_the_noise():
    # 8 × 600 draws with a spread of less than 1 nat: 0.05 is 3 standard errors of the difference
    clean = torch.rand(16, 3, generator=torch.Generator().manual_seed(0))
    judged, others, noise = clean[:8], clean[8:], 0.3
    lower, upper = by_loops(judged, others, noise, draws=600)
    fitted = NoisyChannel(draws=4000).fit(channel(others, noise), seed=0)
    estimate = fitted(channel(judged, noise))
    assert estimate.value == pytest.approx(lower, abs=0.05)
    # the Gaussian bound of 8 pairs is worse, so that the other one stands here
    assert estimate.upper == pytest.approx(upper, abs=0.05)
    assert estimate.ceiling == pytest.approx(math.log(16))


@pytest.mark.parametrize("noise", [0.4, 0.8, 2.0])
def test_two_points_lie_between_the_bounds(noise):
    # with 2000 pairs both bounds are nearly tight; what is left is the draw of pairs and of the noise
    estimate, truth = held_out(two_points(2000, noise, seed=1)), two_point_information(noise)
    assert estimate.value == pytest.approx(truth, abs=0.02)
    assert estimate.upper == pytest.approx(truth, abs=0.02)
    assert estimate.upper > estimate.value


def test_bounds_hold_on_average_of_few_pairs():
    noise = 0.5
    # 24 pairs of the fit, as 6 would often be all the same and refused
    estimates = [held_out(two_points(48, noise, seed), seed=seed) for seed in range(400)]
    lower, upper = (np.array([one[k] for one in estimates]) for k in (0, 1))
    truth, margin = two_point_information(noise), 3 / math.sqrt(400)
    assert lower.mean() < truth + margin * lower.std()
    assert upper.mean() > truth - margin * upper.std()


# Both bounds spread by about 0.03 nats; that they are 0.2 apart three nats below log N = 7.3 is the promise
@pytest.mark.parametrize(("dims", "information"), [(4, 0.5), (4, 4.0), (16, 2.0), (64, 4.0)])
def test_gaussians_well_below_the_ceiling(dims, information):
    estimates = [held_out(gaussian(1500, dims, information, seed)) for seed in range(2)]
    lower, upper = (np.mean([one[k] for one in estimates]) for k in (0, 1))
    assert information - 0.25 < lower < information + 0.05
    assert information - 0.05 < upper < information + 0.15


def test_above_log_n_the_value_sticks_there_and_the_upper_bound_does_not():
    estimate = held_out(gaussian(400, 16, 12.0, seed=0))
    assert 0.95 * math.log(400) < estimate.value <= estimate.ceiling == pytest.approx(math.log(400))
    # the Gaussian bound, which is right for Gaussians but for their estimated covariance
    assert 12.0 - 0.3 < estimate.upper < 14.0


def test_nearly_no_information():
    estimate = held_out(gaussian(1000, 4, 1e-4, seed=0))
    assert abs(estimate.value) < 1e-2
    assert abs(estimate.upper) < 1e-2


def test_pairs_of_the_fit_are_further_references_but_never_count_twice():
    pairs = gaussian(300, 4, 8.0, seed=2)
    train, held = halves(pairs)
    fitted = NoisyChannel(draws=2).fit(train, seed=0)
    assert fitted(held).ceiling == pytest.approx(math.log(300))
    again = fitted(train.rows(torch.arange(150)))
    assert again.ceiling == pytest.approx(math.log(150))
    # a pair that met itself as another would have log 299 = 5.7 at most in the leave-one-out bound
    assert again.upper > 6


def test_one_pair_can_be_judged():
    pairs = gaussian(100, 2, 1.0, seed=9)
    estimate = NoisyChannel(draws=2).fit(pairs.rows(torch.arange(99)), seed=0)(pairs.rows(torch.tensor([99])))
    assert estimate.value < estimate.ceiling
    assert math.isfinite(estimate.upper)


def test_neither_x_nor_the_given_noise_is_used():
    pairs = gaussian(100, 3, 2.0, seed=3)
    other = pairs._replace(x_NC=torch.zeros(100, 7), y_NE=pairs.y_NE + 1)
    assert held_out(pairs) == held_out(other)


def test_it_does_not_matter_where_the_features_are_or_how_many_are_taken_at_once(monkeypatch):
    pairs = gaussian(120, 3, 2.0, seed=4)
    usual = held_out(pairs)
    moved = held_out(pairs._replace(clean_NE=pairs.clean_NE + 100))
    # float32 features at 100 are rounded at 8e-6
    assert moved.value == pytest.approx(usual.value, abs=1e-4)
    monkeypatch.setattr(noisy_channel, "_ELEMENTS", 7 * 120)
    assert held_out(pairs).value == pytest.approx(usual.value, abs=1e-12)
    assert held_out(pairs).upper == pytest.approx(usual.upper, abs=1e-12)


def test_more_draws_spread_less():
    pairs = gaussian(60, 2, 2.0, seed=5)
    few, many = (np.std([held_out(pairs, draws, seed).value for seed in range(30)]) for draws in (1, 16))
    assert many < few / 2


def test_its_configuration_builds_it(configured):
    train, held = halves(two_points(2000, 0.8, seed=8))
    value = configured("noisy_channel").fit(train, seed=0)(held).value
    assert value == pytest.approx(two_point_information(0.8), abs=0.03)


def test_it_says_what_it_is():
    estimator = NoisyChannel(draws=3)
    assert estimator.is_lower_bound
    assert not estimator.learns
    assert not estimator.uses_x
    assert estimator.settings == {"draws": 3}


def test_draws_depend_on_the_seed_alone():
    pairs = gaussian(60, 2, 2.0, seed=6)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002  # which none may use
    assert held_out(pairs, seed=0) == held_out(pairs, seed=0)
    assert held_out(pairs, seed=0) != held_out(pairs, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert repr(np.random.get_state()) == repr(numpy_state)  # noqa: NPY002


def test_what_it_cannot_work_with_is_refused():
    with pytest.raises(ValueError, match="draws is 0; it must be a whole number of at least 1"):
        NoisyChannel(draws=0)
    estimator, pairs = NoisyChannel(draws=1), gaussian(40, 2, 2.0, seed=7)
    for unknown in (pairs._replace(noise=0.0), pairs._replace(clean_NE=None)):
        with pytest.raises(ValueError, match=r"y has no known noise .* add some, as noise=0.5"):
            estimator.fit(unknown, seed=0)
    with pytest.raises(ValueError, match="1 pairs, at least 2"):
        estimator.fit(pairs.rows(torch.arange(1)), seed=0)
    with pytest.raises(ValueError, match="the same clean y"):
        estimator.fit(pairs._replace(clean_NE=torch.ones(40, 2)), seed=0)
    broken = pairs._replace(clean_NE=pairs.clean_NE.clone())
    broken.clean_NE[3, 1] = math.inf
    with pytest.raises(ValueError, match="1 of 40 pairs have a value of clean y that is not finite"):
        estimator.fit(broken, seed=0)
    fitted = estimator.fit(pairs, seed=0)
    with pytest.raises(ValueError, match="not finite"):
        fitted(broken)
    with pytest.raises(ValueError, match=r"a noise of 0.25, those of the fit .* give both the same"):
        fitted(pairs._replace(noise=0.25))
