"""The Gaussian estimator against SciPy and closed forms. N: pairs, C, E: dimensions of x and y."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from ctc_lightning.information.estimators import Gaussian, Pairs, gaussian_information
from ctc_lightning.information.estimators.gaussian_forms import MaxEntropy

SHRINKAGES = [0.0, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 0.6, 0.9, 1.0]


def gaussian(shrinkages=(0.0,), validation=0.2):
    return Gaussian(shrinkages=list(shrinkages), validation=validation)


def gaussians(num, dims, information, seed):
    """x and y = ρx + √(1 − ρ²) ε, each coordinate with its own: I = −E/2 log(1 − ρ²)."""
    rho = math.sqrt(1 - math.exp(-2 * information / dims))
    x, noise = torch.randn(2, num, dims, generator=torch.Generator().manual_seed(seed))
    return Pairs(x, rho * x + math.sqrt(1 - rho**2) * noise)


def halves(pairs):
    num = len(pairs.x_NC) // 2
    return pairs.rows(torch.arange(num)), pairs.rows(torch.arange(num, 2 * num))


def held_out(estimator, pairs, seed=0):
    train, held = halves(pairs)
    return estimator.fit(train, seed=seed)(held).value


def by_scipy(train, held, shrinkage):
    """The mean log density ratio, from densities."""
    fit, judge = (torch.cat([part.x_NC, part.y_NE], 1).double().numpy() for part in (train, held))
    mean, deviation, dims = fit.mean(0), fit.std(0), train.x_NC.shape[1]
    fit, judge = (fit - mean) / deviation, (judge - mean) / deviation
    covariance = (1 - shrinkage) * np.cov(fit.T, bias=True) + shrinkage * np.eye(fit.shape[1])

    def density(part):
        return multivariate_normal(np.zeros(fit.shape[1])[part], covariance[part, part]).logpdf(
            judge[:, part]
        )

    return np.mean(density(slice(None)) - density(slice(dims)) - density(slice(dims, None)))


@pytest.mark.parametrize("rho", [0.0, 0.3, -0.9, 0.999999])
def test_closed_form_of_one_correlation(rho):
    found = gaussian_information(torch.tensor([[1.0, rho], [rho, 1.0]], dtype=torch.float64), 1)
    assert found == pytest.approx(-math.log(1 - rho**2) / 2, abs=1e-9)


def test_closed_form_of_a_channel_with_several_dimensions():
    mix = np.random.default_rng(0).normal(size=(3, 5))
    own = np.diag([0.5, 1.0, 2.0])
    of_y = mix @ mix.T + own
    covariance = np.block([[np.eye(5), mix.T], [mix, of_y]])
    truth = (np.linalg.slogdet(of_y)[1] - np.linalg.slogdet(own)[1]) / 2  # h(y) − h(y | x)
    assert gaussian_information(torch.tensor(covariance), 5) == pytest.approx(truth, abs=1e-9)
    scale = np.diag(np.geomspace(1e-3, 1e3, 8))  # units do not matter
    in_others = torch.tensor(scale @ covariance @ scale)
    assert gaussian_information(in_others, 5) == pytest.approx(truth, abs=1e-6)


@pytest.mark.parametrize("rounding", [0.0, 4e-15])
def test_infinite_information_is_refused(rounding):
    covariance = torch.tensor([[1.0, 1.0], [1.0, 1.0 + rounding]], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"of 2 dimensions some follow .* add noise or shrinkage"):
        gaussian_information(covariance, 1)


@pytest.mark.parametrize("shrinkage", [0.0, 0.2])
def test_it_is_the_mean_log_density_ratio(shrinkage):
    x, noise = torch.randn(2, 200, 3, generator=torch.Generator().manual_seed(0))
    train, held = halves(Pairs(10 * x + 3, (x + noise)[:, :2].exp()))
    value = gaussian([shrinkage]).fit(train, seed=0)(held).value
    assert value == pytest.approx(by_scipy(train, held, shrinkage), abs=1e-9)


# Of held-out pairs: the log ratio of one has the variance Eρ² < E; about CE/N nats are lost to estimation
@pytest.mark.parametrize(("dims", "information"), [(1, 0.5), (4, 4.0), (16, 2.0), (16, 10.0)])
@pytest.mark.parametrize("shrinkages", [[0.0], SHRINKAGES])
def test_gaussians(dims, information, shrinkages):
    num = 4000
    value = held_out(gaussian(shrinkages), gaussians(2 * num, dims, information, seed=0))
    assert value == pytest.approx(information, abs=3 * math.sqrt(dims / num) + dims**2 / num)


def test_independent_pairs_have_none():
    values = [held_out(gaussian(SHRINKAGES), gaussians(400, 3, 0.0, seed)) for seed in range(20)]
    assert np.mean(values) < 3 * np.std(values, ddof=1) / math.sqrt(20)
    assert np.mean(values) > -0.1


def test_shrinkage_is_strong_where_pairs_are_few_and_weak_where_correlations_are_strong():
    few = gaussians(120, 25, 0.0, seed=1)
    assert held_out(gaussian(), few) < -5
    assert abs(held_out(gaussian(SHRINKAGES), few)) < 1
    strong = gaussians(400, 4, 8.0, seed=1)
    # 0.3 hides nearly all: a correlation of 0.7 in each dimension instead of 0.99
    assert held_out(gaussian([0.3]), strong) < 4
    assert held_out(gaussian(SHRINKAGES), strong) == pytest.approx(8.0, abs=0.5)


def test_more_dimensions_than_pairs_need_shrinkage():
    pairs = gaussians(60, 40, 4.0, seed=2)
    assert math.isfinite(held_out(gaussian(SHRINKAGES), pairs))
    with pytest.raises(ValueError, match="30 pairs do not determine the covariance of 80 dimensions"):
        held_out(gaussian(), pairs)


def test_a_cube_hides_information_from_it():
    pairs = gaussians(4000, 2, 2.0, seed=3)
    assert held_out(gaussian(), pairs._replace(y_NE=pairs.y_NE**3)) < 1.5


def test_a_constant_dimension_is_left_out():
    pairs = gaussians(200, 2, 1.0, seed=4)
    with_constant = pairs._replace(x_NC=torch.cat([torch.full((200, 1), 0.1), pairs.x_NC], 1))
    assert held_out(gaussian(), with_constant) == pytest.approx(held_out(gaussian(), pairs), abs=1e-12)


def with_noise(clean, noise):
    return Pairs(clean, clean + noise * torch.randn_like(clean), clean, noise)


def test_largest_entropy_on_its_own_pairs_is_half_the_log_determinant():
    clean = torch.rand(50, 4, generator=torch.Generator().manual_seed(5))
    truth = np.linalg.slogdet(np.eye(4) + np.cov(clean.double().numpy().T, bias=True) / 0.3**2)[1] / 2
    assert float(MaxEntropy(clean, 0.3)(clean).mean()) == pytest.approx(truth, abs=1e-9)


def test_largest_entropy_is_above_the_information_of_gaussians_on_average_on_other_pairs_only():
    dims, noise, generator = 3, 0.5, torch.Generator().manual_seed(6)
    truth = dims / 2 * math.log(1 + 1 / noise**2)
    own, other = [], []
    for _ in range(400):
        clean = torch.randn(2, 12, dims, generator=generator)
        bound = MaxEntropy(clean[0], noise)
        own.append(float(bound(clean[0]).mean()))
        other.append(float(bound(clean[1]).mean()))
    error = 3 / math.sqrt(400)
    assert np.mean(other) > truth - error * np.std(other)
    assert np.mean(own) < truth - error * np.std(own)  # why it is asked of other pairs


def test_largest_entropy_is_above_the_information_of_what_is_not_gaussian():
    noise = 0.5

    def entropy_density(y):
        density = (norm.pdf(y, -1, noise) + norm.pdf(y, 1, noise)) / 2
        return -density * math.log(density)

    truth = quad(entropy_density, -6, 6, points=[-1, 0, 1])[0] - math.log(2 * math.pi * math.e * noise**2) / 2
    generator = torch.Generator().manual_seed(7)
    clean = 2.0 * torch.randint(2, (2000, 1), generator=generator) - 1
    train, held = halves(
        Pairs(clean, clean + noise * torch.randn(2000, 1, generator=generator), clean, noise)
    )
    upper = gaussian().fit(train, seed=0)(held).upper
    # clean features of variance 1, up to how many are 1
    assert truth < upper == pytest.approx(math.log(1 + 1 / noise**2) / 2, abs=0.02)


def test_without_a_known_noise_there_is_no_upper_bound():
    train, held = halves(gaussians(100, 2, 1.0, seed=8))
    assert math.isnan(gaussian().fit(train, seed=0)(held).upper)


def test_its_configuration_builds_it(configured):
    pairs = gaussians(4000, 4, 2.0, seed=11)
    assert held_out(configured("gaussian"), pairs) == pytest.approx(2.0, abs=0.15)


def test_it_says_what_it_is():
    estimator = gaussian([0.0, 0.1])
    assert not estimator.is_lower_bound
    assert estimator.learns
    assert estimator.uses_x
    assert estimator.settings == {"shrinkages": [0.0, 0.1], "validation": 0.2}


def test_draws_depend_on_the_seed_alone():
    pairs, estimator = gaussians(60, 8, 1.0, seed=9), gaussian(np.linspace(0.01, 0.99, 50))
    state, numpy_state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002  # which none may use
    values = [held_out(estimator, pairs, seed) for seed in range(5)]
    assert values == [held_out(estimator, pairs, seed) for seed in range(5)]
    assert len(set(values)) > 1
    assert torch.equal(torch.get_rng_state(), state)
    assert repr(np.random.get_state()) == repr(numpy_state)  # noqa: NPY002


@pytest.mark.parametrize("shrinkages", [[], [-0.1], [0.5, 1.5], [math.nan]])
def test_shrinkages_out_of_range_are_refused(shrinkages):
    with pytest.raises(
        ValueError, match=r"give at least one value, each (a finite number, )?at least 0 and at most 1"
    ):
        gaussian(shrinkages)


@pytest.mark.parametrize("validation", [0.0, 1.0])
def test_a_share_out_of_range_is_refused(validation):
    with pytest.raises(ValueError, match=f"validation is {validation}; it must be above 0 and below 1"):
        gaussian(validation=validation)


def test_pairs_that_cannot_be_measured_are_refused():
    pairs = gaussians(40, 1, 1.0, seed=10)
    with pytest.raises(ValueError, match="3 pairs, at least 4"):
        gaussian().fit(pairs.rows(torch.arange(3)), seed=0)
    with pytest.raises(ValueError, match="the same x"):
        gaussian().fit(pairs._replace(x_NC=torch.ones(40, 1)), seed=0)
    with pytest.raises(ValueError, match="some follow from the others"):
        gaussian().fit(pairs._replace(y_NE=2 * pairs.x_NC), seed=0)
    broken = pairs._replace(y_NE=pairs.y_NE.clone())
    broken.y_NE[5] = math.inf
    with pytest.raises(ValueError, match="1 of 40 pairs have a value of y that is not finite"):
        gaussian().fit(broken, seed=0)
    with pytest.raises(ValueError, match="not finite"):
        gaussian().fit(pairs, seed=0)(broken)


def test_a_covariance_that_does_not_fit_in_memory_is_refused():
    """Pixels of 224² are 150 528 dimensions: 181 GB."""
    x_NC = torch.randn(5, 20_000, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="20001 dimensions of x and y together, at most 20000"):
        Gaussian(shrinkages=[0.5], validation=0.2).fit(Pairs(x_NC, x_NC[:, :1]), seed=0)
