"""The stated information is that of the draws: by determinants, by integration, through inverses."""

import numpy as np
import pytest
import torch
from distributions import (
    DISTRIBUTIONS,
    CubedGaussians,
    Gaussians,
    InvertibleNetwork,
    LabelMixture,
    NoisyFeatures,
    RotatedGaussians,
    WarpedGaussians,
)
from scipy.integrate import quad
from scipy.stats import norm

MANY = 40_000
WARP = {"network_seed": 3}
MIXTURE = {"num_draws": 2**15}
POINTS = [(1, 0.5), (2, 4.0), (16, 10.0)]


def by_determinants(x, y):
    """½ ln(|Σ_x| |Σ_y| / |Σ|) of the draws, for Gaussians: its standard deviation is about √(D·I/N)."""
    joint, d = np.cov(np.hstack([x, y]).T), x.shape[1]
    log_det = lambda part: np.linalg.slogdet(np.atleast_2d(part))[1]  # noqa: E731
    return (log_det(joint[:d, :d]) + log_det(joint[d:, d:]) - log_det(joint)) / 2


def close(found, information, dims):
    # a sampled correlation adds D²/2N on average; the spread of ½ Σ ln(1 − r²) is at most √(D/N)
    return found == pytest.approx(information, abs=dims**2 / MANY + 4 * (dims / MANY) ** 0.5)


def arrays(pairs):
    return pairs.x_NC.double().numpy(), pairs.y_NE.double().numpy()


@pytest.mark.parametrize(("dims", "information"), POINTS)
def test_gaussians_have_the_information_of_their_covariance(dims, information):
    x, y = arrays(Gaussians(num_dims=dims, information=information).draw(MANY, seed=0))
    assert x.shape == y.shape == (MANY, dims)
    assert close(by_determinants(x, y), information, dims)
    np.testing.assert_allclose([x.std(), y.std()], 1, atol=0.02)


@pytest.mark.parametrize(("dims", "information"), POINTS)
def test_the_cube_root_gives_the_gaussians_back(dims, information):
    x, cubed = arrays(CubedGaussians(num_dims=dims, information=information).draw(MANY, seed=0))
    plain = arrays(Gaussians(num_dims=dims, information=information).draw(MANY, seed=0))
    np.testing.assert_array_equal(x, plain[0])
    np.testing.assert_allclose(np.cbrt(cubed), plain[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("dims", "information"), POINTS[1:])
def test_rotations_mix_all_dimensions_and_keep_the_information(dims, information):
    known = RotatedGaussians(num_dims=dims, information=information, rotation_seed=1)
    x, y = arrays(known.draw(MANY, seed=0))
    assert close(by_determinants(x, y), information, dims)
    plain_x, plain_y = arrays(Gaussians(num_dims=dims, information=information).draw(MANY, seed=0))
    for turned, plain in ((x, plain_x), (y, plain_y)):
        matrix = np.linalg.lstsq(plain, turned)[0]
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(dims), atol=1e-5)
        assert (np.abs(matrix) < 1 - 1e-3).all(), "no dimension stays where it was"


@pytest.mark.parametrize("dims", [1, 2, 128])
def test_a_network_and_its_inverse_are_the_identity(dims):
    network = InvertibleNetwork(dims, 4, 0.1, torch.Generator().manual_seed(0))
    h_ND = torch.randn(1000, dims, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mixed_ND = network(h_ND)
    torch.testing.assert_close(network.inverse(mixed_ND), h_ND, rtol=0, atol=1e-9)  # 10⁴ times the rounding
    # not linear: of a linear map f(h) + f(−h) is 0
    assert (mixed_ND + network(-h_ND)).abs().mean() > 0.1 * mixed_ND.abs().mean()


def test_warped_gaussians_are_gaussians_through_networks():
    known = WarpedGaussians(num_dims=4, information=3, **WARP)
    x_ND, y_ND, *_ = known.draw(MANY, seed=0)
    x, y = (net.inverse(h.double()).numpy() for net, h in ((known._of_x, x_ND), (known._of_y, y_ND)))
    assert close(by_determinants(x, y), 3, 4)


@pytest.mark.parametrize("decay", [0.0, 1.0])
@pytest.mark.parametrize(("dims", "information"), POINTS)
def test_noisy_features_tell_their_noise_and_have_the_information_of_the_channel(dims, information, decay):
    known = NoisyFeatures(num_dims=dims, information=information, decay=decay, **WARP)
    pairs = known.draw(MANY, seed=0)
    clean = pairs.clean_NE.double().numpy()
    noise = (pairs.y_NE.double().numpy() - clean) / pairs.noise
    np.testing.assert_allclose(noise.std(0), 1, atol=5 / MANY**0.5)
    assert abs(np.corrcoef(noise[:, 0], clean[:, 0])[0, 1]) < 4 / MANY**0.5
    assert close(by_determinants(clean, pairs.y_NE.double().numpy()), information, dims)
    # the features are a function of x, and their mean variance is 1, as in a measurement
    np.testing.assert_allclose(known._of_x.inverse(pairs.x_NC.double()).numpy(), clean, atol=1e-3)
    assert clean.var(0).mean() == pytest.approx(1, abs=8 / MANY**0.5)
    spectrum = clean.var(0) / clean.var(0)[0]
    np.testing.assert_allclose(spectrum, np.arange(1, dims + 1) ** -decay, rtol=0.1)


@pytest.mark.parametrize("information", [0.05, 0.4, 0.65])
def test_two_labels_in_one_dimension_by_integration(information):
    known = LabelMixture(num_dims=1, information=information, num_labels=2, **MIXTURE)
    half = known._separation / 2

    def nats(x):  # p(x|+) · ln(p(x|+) / p(x))
        return norm.pdf(x, half) * (np.log(2) - np.log1p(np.exp(-2 * half * x)))

    exact = quad(nats, half - 12, half + 12)[0]
    assert exact == pytest.approx(information, abs=4 * known.standard_error)
    assert 0 < known.standard_error < 0.005


def test_ten_labels_have_the_information_that_the_posterior_of_fresh_draws_tells():
    known = LabelMixture(num_dims=12, information=1.5, num_labels=10, **MIXTURE)
    x, y = arrays(known.draw(MANY, seed=5))
    assert set(y.sum(1)) == {1.0}
    np.testing.assert_allclose(y.mean(0), 0.1, atol=0.01)
    centres = np.stack([x[y[:, c] == 1].mean(0) for c in range(10)])
    edges = np.linalg.norm(centres[:, None] - centres[None], axis=-1)[np.triu_indices(10, 1)]
    np.testing.assert_allclose(edges, known._separation, rtol=0.05)
    centres = known._separation * known._corner_LD.numpy()
    log_p = norm.logpdf(x[:, None], centres[None]).sum(-1)
    nats = (log_p * y).sum(1) - np.log(np.exp(log_p).mean(1))
    error = (nats.var() / MANY + known.standard_error**2) ** 0.5
    assert nats.mean() == pytest.approx(1.5, abs=4 * error)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_draws_depend_on_their_seed_alone(name):
    known, again = (DISTRIBUTIONS[name](9, 0.5) for _ in range(2))
    first, same, other = known.draw(50, seed=1), again.draw(50, seed=1), known.draw(50, seed=2)
    assert torch.equal(first.x_NC, same.x_NC)
    assert torch.equal(first.y_NE, same.y_NE)
    assert not torch.equal(first.x_NC, other.x_NC)
    assert first.x_NC.dtype == first.y_NE.dtype == torch.float32
    assert known.settings == again.settings
    assert {"num_dims", "information"} <= known.settings.keys()
