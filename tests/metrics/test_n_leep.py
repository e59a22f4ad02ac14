"""N-LEEP against its steps done one by one: PCA by eigenvectors, Bayes' rule, LEEP in loops."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from ctc_lightning.metrics import NLEEP


@pytest.fixture
def clouds():
    """Two clouds per class, far apart: every mixture that fits has the same components. Float32."""
    generator = torch.Generator().manual_seed(0)
    cloud_N = torch.arange(120) % 4
    centre_CF = 12 * torch.tensor([[1.0, 1.0], [1, -1], [-1, 1], [-1, -1]])
    h_NF = torch.cat([centre_CF[cloud_N], torch.zeros(120, 4)], dim=1)
    h_NF = h_NF + torch.randn(120, 6, generator=generator)
    wrong_N = torch.rand(120, generator=generator) < 0.2
    return h_NF, torch.where(wrong_N, 1 - cloud_N % 2, cloud_N % 2)


def score(h_NF, label_N, num_classes=2, **options):
    metric = NLEEP(h_NF.shape[1], num_classes, **options)
    metric.update(h_NF, label_N)
    return metric.compute().item()


def test_equals_its_steps(clouds):
    h, y = clouds[0].double().numpy(), clouds[1].numpy()
    values, vectors = np.linalg.eigh(np.cov(h.T))
    largest_first = np.argsort(values)[::-1]
    energy = np.cumsum(values[largest_first]) / values.sum()
    kept = largest_first[: np.searchsorted(energy, 0.8) + 1]
    assert len(kept) == 2  # the plane of the clouds
    reduced = (h - h.mean(0)) @ vectors[:, kept]
    mixture = GaussianMixture(4, random_state=5).fit(reduced)
    density = np.stack(
        [
            weight * multivariate_normal.pdf(reduced, mean, covariance)
            for weight, mean, covariance in zip(
                mixture.weights_, mixture.means_, mixture.covariances_, strict=True
            )
        ],
        axis=1,
    )
    posterior = density / density.sum(1, keepdims=True)
    total = 0
    for row, target in zip(posterior, y, strict=True):
        total += np.log(
            sum(row[s] * posterior[y == target, s].sum() / posterior[:, s].sum() for s in range(4))
        )
    assert score(*clouds, ratio=2) == pytest.approx(total / len(y), rel=1e-5)


@pytest.mark.parametrize(("share", "needed"), [(0.82, False), (0.78, True)])
def test_directions_beyond_80_percent_of_the_variance_are_not_seen(share, needed):
    noise_NF = torch.randn(90, 3, generator=torch.Generator().manual_seed(0)).double()
    uncorrelated_NF = torch.linalg.qr(noise_NF - noise_NF.mean(0))[0]
    # the first two directions have this share of the variance
    h_NF = uncorrelated_NF * torch.tensor([11, 10, (221 * (1 / share - 1)) ** 0.5])
    label_N = (uncorrelated_NF[:, 2] > 0).long()
    whole, without = score(h_NF, label_N), score(h_NF[:, :2], label_N)
    assert (abs(whole - without) > 0.01) == needed


def test_zero_where_every_cluster_holds_one_class(clouds):
    h_NF, _ = clouds
    assert score(h_NF, torch.arange(120) % 4, 4, ratio=1) == pytest.approx(0, abs=1e-6)


def test_neither_order_nor_batches_nor_ranks_change_it(clouds, assert_same_however_split):
    h_NF, label_N = clouds
    # with more components than clouds the fit depends on where it starts
    order_N = torch.randperm(120, generator=torch.Generator().manual_seed(1))
    assert score(h_NF[order_N], label_N[order_N]) == pytest.approx(score(h_NF, label_N), rel=1e-9)
    assert_same_however_split(lambda **kw: NLEEP(6, 2, **kw), h_NF, label_N)


def test_a_seed_decides_the_fit(clouds):
    assert score(*clouds, seed=3) == score(*clouds, seed=3)
    assert len({score(*clouds, seed=seed) for seed in range(4)}) > 1


def test_the_clearer_the_classes_the_higher():
    label_N = torch.arange(120) % 3
    noise_NF = torch.randn(120, 4, generator=torch.Generator().manual_seed(0))
    found = [score(s * torch.eye(3, 4)[label_N] + noise_NF, label_N, 3, ratio=1) for s in (0, 4, 16)]
    assert found[0] < found[1] < found[2] <= 1e-9


def test_bad_input_is_one_sentence(clouds):
    h_NF, label_N = clouds
    with pytest.raises(ValueError, match="ratio is 0; it must be at least 1"):
        NLEEP(6, 2, ratio=0)
    with pytest.raises(ValueError, match="num_classes is 1; it must be a whole number of at least 2"):
        NLEEP(6, 1)
    with pytest.raises(ValueError, match="class 2 has 0 images; at least 1"):
        score(h_NF, label_N, 3)
    with pytest.raises(ValueError, match=r"8 images for 10 mixture components; .* at most 4"):
        score(h_NF[:8], torch.arange(8) % 2)
    with pytest.raises(ValueError, match="the 120 images have the same features"):
        score(torch.full_like(h_NF, 0.3), label_N)
    with pytest.raises(ValueError, match="N-LEEP: 120 of 120 images have features that are not finite"):
        score(h_NF * float("nan"), label_N)
