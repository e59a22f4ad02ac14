"""H-score against explicit inverses and scikit-learn's Ledoit-Wolf covariance."""

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from ctc_lightning.metrics import HScore


def score(h_NF, label_N, num_classes=3, shrinkage=True):
    metric = HScore(h_NF.shape[1], num_classes, shrinkage=shrinkage)
    metric.update(h_NF, label_N)
    return metric.compute()


def naive(h_NF, label_N, shrinkage):
    h, y = h_NF.double().numpy(), label_N.numpy()
    class_mean = np.stack([h[y == c].mean(0) for c in y])
    between = np.cov(class_mean.T, bias=True)
    if not shrinkage:
        return torch.tensor(np.trace(np.linalg.inv(np.cov(h.T, bias=True)) @ between))
    estimate = LedoitWolf().fit(h)
    return torch.tensor((1 - estimate.shrinkage_) * np.trace(np.linalg.inv(estimate.covariance_) @ between))


@pytest.mark.parametrize("shrinkage", [True, False])
def test_equals_the_formula(labelled, shrinkage):
    expected = naive(*labelled, shrinkage)
    torch.testing.assert_close(score(*labelled, shrinkage=shrinkage), expected, rtol=1e-9, atol=0)


def test_shrinkage_with_more_features_than_images_far_from_zero(labelled):
    h_NF, label_N = labelled
    noise_NF = torch.randn(60, 95, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    wide_NF = torch.cat([h_NF, noise_NF], dim=1) + 50
    torch.testing.assert_close(score(wide_NF, label_N), naive(wide_NF, label_N, True), rtol=1e-7, atol=0)


def test_invertible_linear_maps_change_nothing_without_shrinkage(labelled):
    h_NF, label_N = labelled
    map_FF = torch.randn(5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = score(h_NF @ map_FF + 3, label_N, shrinkage=False)
    torch.testing.assert_close(found, score(h_NF, label_N, shrinkage=False), rtol=1e-7, atol=0)


def test_rotation_and_scale_change_nothing_with_shrinkage(labelled):
    h_NF, label_N = labelled
    square_FF = torch.randn(5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = score(7 * h_NF @ torch.linalg.qr(square_FF)[0], label_N)
    torch.testing.assert_close(found, score(h_NF, label_N), rtol=1e-7, atol=0)


def test_full_collapse_reaches_the_largest_value(simplex_etf):
    h_NF, label_N = simplex_etf
    torch.testing.assert_close(
        score(h_NF, label_N, 4, shrinkage=False), torch.tensor(3.0, dtype=torch.float64), rtol=1e-9, atol=0
    )


@pytest.mark.parametrize("shrinkage", [True, False])
def test_the_clearer_the_classes_the_higher(shrinkage):
    label_N = torch.arange(90) % 3
    noise_NF = torch.randn(90, 6, generator=torch.Generator().manual_seed(0))
    found = [
        score(s * torch.eye(3, 6)[label_N] + noise_NF, label_N, shrinkage=shrinkage) for s in (0, 1, 2, 4, 8)
    ]
    assert found == sorted(found)
    assert 0 <= found[0] < 0.5
    assert 1.5 < found[-1] <= 2


def test_the_same_however_images_are_split(labelled, assert_same_however_split):
    assert_same_however_split(lambda **kw: HScore(5, 3, **kw), *labelled)


def test_bad_input_is_one_sentence(labelled):
    h_NF, label_N = labelled
    with pytest.raises(ValueError, match="num_classes is 1; it must be a whole number of at least 2"):
        HScore(5, 1)
    with pytest.raises(ValueError, match="class 3 has 0 images; at least 2"):
        score(h_NF, label_N, 4)
    with pytest.raises(ValueError, match="4 images of 5 features; without shrinkage at least 6 are needed"):
        score(h_NF[:4], torch.tensor([0, 0, 1, 1]), 2, shrinkage=False)
    with pytest.raises(ValueError, match="the 60 images have the same features"):
        score(torch.full_like(h_NF, 0.3), label_N)
    with pytest.raises(ValueError, match="H-score: 60 of 60 images have features that are not finite"):
        score(h_NF * float("nan"), label_N)
