"""The effective rank. N: images, F: features."""

import numpy as np
import pytest
import torch

from ctc_lightning.metrics import EffectiveRank


def rank(h_NF, **kwargs):
    metric = EffectiveRank(h_NF.shape[1], **kwargs)
    metric.update(h_NF)
    return metric.compute().item()


@pytest.mark.parametrize("centre", [True, False])
def test_equals_numpy(centre, labelled):
    h = labelled[0].numpy()
    sigma = np.linalg.svd(h - h.mean(0) * centre, compute_uv=False)
    p = sigma / sigma.sum()
    assert rank(labelled[0], centre=centre) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-10)


def test_isotropic_features_use_every_direction():
    h_NF = torch.cat([torch.eye(7), -torch.eye(7)]).double()
    assert rank(h_NF) == pytest.approx(7)
    assert rank(h_NF, centre=False) == pytest.approx(7)


def test_a_line_is_one_direction(labelled):
    line_NF = labelled[0][:, :1] * torch.tensor([1.0, -2, 3, 0.5])
    assert rank(line_NF) == pytest.approx(1, abs=1e-6)
    assert rank(line_NF + 100) == pytest.approx(1, abs=1e-6)


def test_an_offset_is_a_direction_unless_centred(labelled):
    h_NF = labelled[0]
    assert rank(h_NF + 1e6) == pytest.approx(rank(h_NF), rel=1e-9)
    assert rank(h_NF + 1e6, centre=False) == pytest.approx(1, abs=1e-3)


def test_two_directions_of_unequal_strength():
    """σ = 3 and 1: p = 3/4 and 1/4."""
    h_NF = torch.tensor([[3, 0], [-3, 0], [0, 1], [0, -1]], dtype=torch.float64)
    assert rank(h_NF) == pytest.approx(0.75**-0.75 * 0.25**-0.25)


def test_turning_and_scaling_change_nothing(labelled):
    turn_FF = torch.linalg.qr(torch.arange(25.0, dtype=torch.float64).view(5, 5).sin() + torch.eye(5))[0]
    assert rank(1e-6 * labelled[0] @ turn_FF) == pytest.approx(rank(labelled[0]), rel=1e-9)


def test_unused_features_and_few_images_are_fine(labelled):
    h_NF = torch.cat([labelled[0], torch.zeros(60, 100)], dim=1)
    assert rank(h_NF) == pytest.approx(rank(labelled[0]), rel=1e-9)


@pytest.mark.parametrize("centre", [True, False])
def test_same_however_split(centre, labelled, assert_same_however_split):
    assert_same_however_split(lambda **kwargs: EffectiveRank(5, centre=centre, **kwargs), labelled[0])


def test_features_without_a_direction_are_refused():
    constant_NF = torch.full((9, 3), 0.1, dtype=torch.float64)
    with pytest.raises(ValueError, match="the 9 images have the same features"):
        rank(constant_NF)
    with pytest.raises(ValueError, match="the 9 images have only zero features"):
        rank(0 * constant_NF, centre=False)


def test_one_image_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        rank(torch.ones(1, 3))
