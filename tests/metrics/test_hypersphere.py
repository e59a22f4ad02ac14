"""Alignment and uniformity. N: images, F: features."""

from itertools import combinations

import numpy as np
import pytest
import torch

from ctc_lightning.metrics import Alignment, Uniformity
from ctc_lightning.metrics import hypersphere as module


@pytest.fixture
def other_view(labelled):
    return labelled[0] + torch.randn(60, 5, generator=torch.Generator().manual_seed(1))


def alignment(h_NF, other_NF, **kwargs):
    metric = Alignment(h_NF.shape[1], **kwargs)
    metric.update(h_NF, other_NF)
    return metric.compute().item()


def uniformity(h_NF, **kwargs):
    metric = Uniformity(h_NF.shape[1], **kwargs).set_dtype(torch.float64)
    metric.update(h_NF)
    return metric.compute().item()


def on_sphere(h_NF):
    return [h_F / np.sqrt(h_F @ h_F) for h_F in h_NF.numpy()]


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_alignment_equals_numpy(alpha, labelled, other_view):
    pairs = zip(on_sphere(labelled[0]), on_sphere(other_view), strict=True)
    expected = np.mean([np.linalg.norm(z - other) ** alpha for z, other in pairs])
    assert alignment(labelled[0], other_view, alpha=alpha) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("t", [0.5, 2.0])
@pytest.mark.parametrize("block", [1, 200, 2**22])
def test_uniformity_equals_numpy_whatever_is_held_at_once(t, block, labelled, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", block)
    pairs = combinations(on_sphere(labelled[0]), 2)
    expected = np.log(np.mean([np.exp(-t * ((z - other) ** 2).sum()) for z, other in pairs]))
    assert uniformity(labelled[0], t=t) == pytest.approx(expected, rel=1e-12)


def test_identical_views_are_aligned_and_opposite_ones_are_not(labelled):
    assert alignment(labelled[0], 5 * labelled[0]) == pytest.approx(0, abs=1e-12)
    assert alignment(labelled[0], -labelled[0]) == pytest.approx(4)
    assert alignment(labelled[0], -labelled[0], alpha=3) == pytest.approx(8)


@pytest.mark.parametrize(
    ("second", "square"), [([5.0, 0.0], 0), ([0.0, 3.0], 2), ([-2.0, 0.0], 4), ([1.0, 1.0], 2 - 2**0.5)]
)
def test_uniformity_of_two_points(second, square):
    found = uniformity(torch.tensor([[1.0, 0.0], second], dtype=torch.float64), t=3)
    assert found == pytest.approx(-3 * square, abs=1e-12)


def test_uniformity_does_not_underflow():
    assert uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), t=1e4) == pytest.approx(-4e4)


def test_only_directions_count(labelled, other_view):
    turn_FF = torch.linalg.qr(torch.arange(25.0, dtype=torch.float64).view(5, 5).sin() + torch.eye(5))[0]
    h_NF = torch.linspace(1e-200, 1e200, 60, dtype=torch.float64)[:, None] * labelled[0] @ turn_FF
    assert uniformity(h_NF) == pytest.approx(uniformity(labelled[0]), rel=1e-9)
    moved = alignment(h_NF, other_view @ turn_FF)
    assert moved == pytest.approx(alignment(labelled[0], other_view), rel=1e-9)


def test_float32_keeps_six_digits(labelled):
    metric = Uniformity(5)
    metric.update(labelled[0].float())
    assert metric.compute().dtype == torch.float64
    assert metric.compute().item() == pytest.approx(uniformity(labelled[0]), rel=1e-6)


def test_same_however_split(labelled, other_view, assert_same_however_split):
    assert_same_however_split(lambda **kwargs: Alignment(5, **kwargs), labelled[0], other_view)
    assert_same_however_split(lambda **kwargs: Uniformity(5, **kwargs), labelled[0])


def test_features_without_a_direction_are_refused(labelled):
    h_NF = labelled[0].index_fill(0, torch.tensor([3, 9]), 0)
    with pytest.raises(ValueError, match="2 of 60 images have only zero features"):
        uniformity(h_NF)
    with pytest.raises(ValueError, match="2 of 60 images have only zero features"):
        alignment(labelled[0], h_NF)
    with pytest.raises(ValueError, match="2 of 60 images have features that are not finite"):
        uniformity(labelled[0].index_fill(0, torch.tensor([3, 9]), torch.nan))


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="1 images; a pair needs at least 2"):
        uniformity(torch.ones(1, 3))
    with pytest.raises(ValueError, match="0 images"):
        alignment(torch.ones(0, 3), torch.ones(0, 3))
    with pytest.raises(ValueError, match="4 first and 3 second views"):
        alignment(torch.ones(4, 3), torch.ones(3, 3))


@pytest.mark.parametrize(
    "make",
    [lambda: Alignment(0), lambda: Alignment(3, alpha=0), lambda: Uniformity(0), lambda: Uniformity(3, t=-1)],
)
def test_nonsense_is_refused(make):
    with pytest.raises(ValueError, match="it must be above 0"):
        make()
