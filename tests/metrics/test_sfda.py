"""SFDA against its four steps written with loops over classes and the generalised eigenproblem."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.linalg import eigh
from scipy.special import softmax

from ctc_lightning.metrics import SFDA


def score(h_NF, label_N, num_classes=3):
    metric = SFDA(h_NF.shape[1], num_classes)
    metric.update(h_NF, label_N)
    return metric.compute().item()


def discriminate(h, y, strength=None):
    """Through the discriminant directions, all of which are kept."""
    classes, num_features = np.unique(y), h.shape[1]
    prior = np.array([(y == c).mean() for c in classes])
    mean = np.stack([h[y == c].mean(0) for c in classes])
    within = sum(p * np.cov(h[y == c].T, bias=True) for p, c in zip(prior, classes, strict=True))
    if strength is None:
        strength = max(np.exp(-5 * np.linalg.norm(within, 2)), 1e-10)

    def shrunk(matrix):
        return (1 - strength) * matrix + strength * np.trace(matrix) / num_features * np.eye(num_features)

    _, direction = eigh(shrunk(np.cov(h.T, bias=True)) - shrunk(within), shrunk(within))
    projected, centre = h @ direction, mean @ direction
    logit = projected @ centre.T - 0.5 * (centre**2).sum(1) + np.log(prior)
    return softmax(logit, axis=1), mean, strength


def naive(h_NF, label_N):
    h, y = h_NF.double().numpy(), label_N.numpy()
    probability, mean, strength = discriminate(h, y)
    confidence, mixed = softmax(probability, axis=1), h.copy()
    for i, c in enumerate(y):
        others = np.mean([m for other, m in enumerate(mean) if other != c], axis=0)
        mixed[i] = confidence[i, c] * h[i] + (1 - confidence[i, c]) * others
    probability, _, _ = discriminate(mixed, y, strength)
    return np.mean([probability[i, c] for i, c in enumerate(y)])


@pytest.mark.parametrize("scale", [1, 0.1], ids=["hardly regularised", "strongly regularised"])
def test_equals_its_steps(labelled, scale):
    h_NF, label_N = (scale * labelled[0]).float(), labelled[1]
    assert score(h_NF, label_N) == pytest.approx(naive(h_NF, label_N), rel=1e-6)


def test_rotations_shifts_and_the_order_of_classes_change_nothing(labelled):
    h_NF, label_N = labelled
    turn_FF = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(1)).double())[0]
    expected = pytest.approx(score(h_NF, label_N), rel=1e-4)  # features are kept in float32
    assert score(h_NF @ turn_FF + 3, label_N) == expected
    assert score(h_NF, 2 - label_N) == expected


def test_more_features_than_images_of_small_spread(labelled):
    h_NF, label_N = labelled
    noise_NF = torch.randn(60, 75, generator=torch.Generator().manual_seed(1)).double()
    wide_NF = (0.05 * torch.cat([h_NF, noise_NF], dim=1)).float()
    assert score(wide_NF, label_N) == pytest.approx(naive(wide_NF, label_N), rel=1e-6)


def test_the_clearer_the_classes_the_higher():
    label_N = torch.arange(90) % 3
    noise_NF = torch.randn(90, 6, generator=torch.Generator().manual_seed(0))
    found = [score(s * torch.eye(3, 6)[label_N] + noise_NF, label_N) for s in (0, 1, 2, 4)]
    assert all(low < high for low, high in pairwise(found))
    assert found[-1] <= 1


def test_the_same_however_images_are_split(labelled, assert_same_however_split):
    assert_same_however_split(lambda **kw: SFDA(5, 3, **kw), *labelled)


def test_bad_input_is_one_sentence(labelled, simplex_etf):
    h_NF, label_N = labelled
    with pytest.raises(ValueError, match="num_classes is 1; it must be a whole number of at least 2"):
        SFDA(5, 1)
    with pytest.raises(ValueError, match="num_features is 0; it must be a whole number of at least 1"):
        SFDA(0, 2)
    with pytest.raises(ValueError, match="class 2 has 1 images; at least 2"):
        score(h_NF[:5], torch.tensor([0, 0, 1, 1, 2]))
    with pytest.raises(ValueError, match="all 60 images lie on their class means"):
        score(torch.full_like(h_NF, 0.3), label_N)
    with pytest.raises(ValueError, match="SFDA: 60 of 60 images have features that are not finite"):
        score(h_NF * float("inf"), label_N)
