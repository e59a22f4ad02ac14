"""Standardised and whitened features, of the training images alone. N: images, F: features."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from ctc_lightning.evaluation.scaling import FeatureSums, fit_scaling


@pytest.fixture(name="h_NF")
def features():
    random = np.random.default_rng(0)
    return torch.tensor(np.float32(random.normal(size=(80, 5)) @ random.normal(size=(5, 5)) + 10))


def test_standardised_is_scikit_learns(h_NF):
    other_NF = 2 * h_NF[:7] - 1
    expected = StandardScaler().fit(h_NF.double().numpy()).transform(other_NF.double().numpy())
    torch.testing.assert_close(fit_scaling(h_NF, "standardised")(other_NF), torch.tensor(expected))


@pytest.mark.parametrize("scale", ["standardised", "whitened"])
def test_the_scales_of_the_features_do_not_matter(scale):
    # float32 keeps each column's relative precision, whatever stands beside it
    random = np.random.default_rng(0)
    h_NF = torch.tensor(random.normal(size=(80, 9)) @ random.normal(size=(9, 9)) + 1)
    scaled_NF = (h_NF * torch.logspace(-4, 4, 9, dtype=torch.double)).float()
    before, after = (fit_scaling(h, scale)(h) for h in (h_NF, scaled_NF))
    assert after.shape == before.shape
    torch.testing.assert_close(torch.cdist(after, after), torch.cdist(before, before), rtol=1e-4, atol=1e-4)


def test_whitened_features_have_the_identity_as_covariance(h_NF):
    z_NP = fit_scaling(h_NF, "whitened")(h_NF)
    torch.testing.assert_close(z_NP.T.cov(), torch.eye(5, dtype=torch.double), rtol=0, atol=1e-6)


def test_whitening_keeps_distances_under_invertible_linear_maps(h_NF):
    map_FF = torch.diag(torch.tensor([0.1, 0.3, 1.0, 3.0, 10.0], dtype=torch.double))
    before, after = (fit_scaling(h, "whitened")(h) for h in (h_NF.double(), h_NF.double() @ map_FF + 5))
    torch.testing.assert_close(torch.cdist(after, after), torch.cdist(before, before), rtol=1e-5, atol=1e-5)


def test_whitening_drops_directions_that_only_round(h_NF):
    mixed_NF = h_NF @ torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    assert fit_scaling(mixed_NF, "whitened").map_FP.shape == (40, 5)


def test_more_features_than_images_whiten(h_NF):
    assert fit_scaling(h_NF[:4], "whitened")(h_NF).shape == (80, 3)  # 4 images span 3 directions


@pytest.mark.parametrize("num_first", [1, 30, 79])
def test_the_sums_of_two_sets_are_those_of_all_images(num_first, h_NF):
    apart = FeatureSums.of(h_NF[:num_first]).union(FeatureSums.of(h_NF[num_first:]))
    deviation = h_NF.double().numpy() - h_NF.double().numpy().mean(0)
    assert apart.num_images == 80
    np.testing.assert_allclose(apart.mean_F, h_NF.double().numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(apart.scatter_FF, deviation.T @ deviation, rtol=1e-10)
    assert torch.equal(apart.largest_F, h_NF.abs().amax(0))


@pytest.mark.parametrize("scale", ["standardised", "whitened"])
@pytest.mark.parametrize("constant", [0.0, 0.3, 1000.0])
def test_features_without_variance_stay_finite(scale, constant):
    h_NF = torch.full((30, 4), constant)
    z_NP = fit_scaling(h_NF, scale)(h_NF)
    assert z_NP.isfinite().all()
    assert z_NP.abs().max() < 1e-3


@pytest.mark.parametrize("scale", ["standardised", "whitened"])
def test_a_feature_that_only_rounds_says_nothing(scale, h_NF):
    # 1e8 is known to 8 in float32: this one is constant but for that
    rounding_N = 1e8 + 3 * torch.randn(80, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    with_NF = torch.cat([h_NF, rounding_N.float()[:, None]], dim=1)
    assert with_NF[:, 5].std() > 0
    before, after = (fit_scaling(h, scale)(h) for h in (h_NF, with_NF))
    torch.testing.assert_close(torch.cdist(after, after), torch.cdist(before, before), rtol=1e-9, atol=1e-6)


def test_none_leaves_the_features_alone(h_NF):
    assert fit_scaling(h_NF, None) is None
