"""LogME is the maximum of the evidence, found here with explicit inverses and a Gaussian over all labels."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from ctc_lightning.metrics import LogME


def score(h_NF, label_N, num_classes=3):
    metric = LogME(h_NF.shape[1], num_classes)
    metric.update(h_NF, label_N)
    return metric.compute()


def naive(h_NF, label_N, num_classes=3):
    """The fixed point by matrix inverses, its evidence by a log-determinant."""
    h, evidences = h_NF.numpy(), []
    n, d = h.shape
    for c in range(num_classes):
        y = (label_N.numpy() == c).astype(float)
        alpha = beta = 1.0
        for _ in range(300):
            inverse = np.linalg.inv(alpha * np.eye(d) + beta * h.T @ h)
            m = beta * inverse @ h.T @ y
            gamma = d - alpha * np.trace(inverse)
            alpha = gamma / (m @ m + 1e-5)
            beta = (n - gamma) / (((y - h @ m) ** 2).sum() + 1e-5)
        A = alpha * np.eye(d) + beta * h.T @ h
        m = beta * np.linalg.solve(A, h.T @ y)
        evidences.append(
            d / 2 * np.log(alpha)
            + n / 2 * np.log(beta)
            - np.linalg.slogdet(A)[1] / 2
            - beta / 2 * ((y - h @ m) ** 2).sum()
            - alpha / 2 * m @ m
            - n / 2 * np.log(2 * np.pi)
        )
    return torch.tensor(np.mean(evidences) / n)


def test_equals_the_fixed_point_with_explicit_inverses(labelled):
    torch.testing.assert_close(score(*labelled), naive(*labelled), rtol=1e-9, atol=0)


def test_more_features_than_images(labelled):
    h_NF, label_N = labelled
    generator = torch.Generator().manual_seed(1)
    wide_NF = torch.cat([h_NF, torch.randn(60, 75, generator=generator).double()], dim=1)
    torch.testing.assert_close(score(wide_NF, label_N), naive(wide_NF, label_N), rtol=1e-7, atol=0)


def test_no_precisions_give_more_evidence(labelled):
    h_NF, label_N = labelled
    h, best = h_NF.numpy(), []
    for c in range(3):
        y = (label_N.numpy() == c).astype(float)

        def loss(log_precisions, y=y):
            alpha, beta = np.exp(log_precisions)
            covariance = np.eye(len(y)) / beta + h @ h.T / alpha
            return -multivariate_normal.logpdf(y, cov=covariance) / len(y)

        best.append(-minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-6}).fun)
    # the authors' epsilon moves the precisions a little away from the maximum
    torch.testing.assert_close(score(h_NF, label_N), torch.tensor(np.mean(best)), rtol=0, atol=1e-5)


def test_a_rotation_or_features_that_are_always_zero_change_nothing(labelled):
    h_NF, label_N = labelled
    generator = torch.Generator().manual_seed(1)
    turn_FF = torch.linalg.qr(torch.randn(5, 5, generator=generator).double())[0]
    expected = score(h_NF, label_N)
    torch.testing.assert_close(score(h_NF @ turn_FF, label_N), expected, rtol=1e-9, atol=0)
    padded_NF = torch.cat([h_NF, torch.zeros(60, 4, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(score(padded_NF, label_N), expected, rtol=1e-9, atol=0)


def test_a_class_without_signal_has_a_finite_evidence():
    # both classes have the mean 0: no weight explains anything
    h_NF = torch.tensor([[1.0, 2.0], [-1.0, -2.0], [2.0, -1.0], [-2.0, 1.0]])
    assert score(h_NF, torch.tensor([0, 0, 1, 1]), 2).isfinite()


def test_the_clearer_the_classes_the_higher():
    generator = torch.Generator().manual_seed(0)
    label_N = torch.arange(90) % 3
    centre_LF, noise_NF = torch.eye(3, 6), torch.randn(90, 6, generator=generator)
    found = [score(s * centre_LF[label_N] + noise_NF, label_N) for s in (0, 1, 2, 4, 8)]
    assert found == sorted(found)
    assert found[0] < found[1]


@pytest.mark.parametrize("num_features", [5, 40, 60, 80])
def test_the_same_however_images_are_split(num_features, labelled, assert_same_however_split):
    # the 60 images are more than the features, as many, or fewer
    h_NF, label_N = labelled
    generator = torch.Generator().manual_seed(1)
    wide_NF = torch.cat([h_NF, torch.randn(60, num_features - 5, generator=generator).double()], dim=1)
    assert_same_however_split(lambda **kw: LogME(num_features, 3, **kw), wide_NF, label_N)


def test_bad_input_is_one_sentence():
    with pytest.raises(ValueError, match="num_classes is 1; it must be a whole number of at least 2"):
        LogME(5, 1)
    h_NF, label_N = torch.ones(6, 2), torch.tensor([0, 1, 0, 1, 0, 1])
    with pytest.raises(ValueError, match="class 2 has 0 images; at least 1"):
        score(h_NF, label_N, 3)
    with pytest.raises(ValueError, match="6 images have only zero features"):
        score(0 * h_NF, label_N, 2)
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="LogME: 6 of 6 images have features that are not finite"):
            score(bad * h_NF, label_N, 2)
