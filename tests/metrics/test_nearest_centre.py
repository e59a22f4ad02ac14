"""NC4. N: images, F: features, L: classes."""

import numpy as np
import pytest
import torch

from ctc_lightning.metrics import NearestCentreAgreement


def means(h_NF, label_N):
    return torch.stack([h_NF[label_N == c].mean(0) for c in range(int(label_N.max()) + 1)])


def agreement(h_NF, *args):
    metric = NearestCentreAgreement(*args)
    metric.update(h_NF)
    return metric.compute().item()


def test_equals_numpy(labelled):
    h_NF, label_N = labelled
    mean_LF, weight_LF, bias_L = means(h_NF, label_N), torch.arange(15.0).view(3, 5).sin(), torch.ones(3) / 3
    agree = [
        np.argmax(weight_LF.double().numpy() @ h_F + bias_L.double().numpy())
        == np.argmin([np.linalg.norm(h_F - mean_F) for mean_F in mean_LF.numpy()])
        for h_F in h_NF.numpy()
    ]
    assert 0 < sum(agree) < 60
    assert agreement(h_NF, mean_LF, weight_LF, bias_L) == np.mean(agree)


def test_the_classifier_of_the_nearest_mean_agrees_always(labelled):
    """argmin |h − μ_c|² = argmax (2 μ_c·h − |μ_c|²)."""
    h_NF, mean_LF = labelled[0], means(*labelled)
    assert agreement(h_NF, mean_LF, 2 * mean_LF, -mean_LF.square().sum(1)) == 1


def test_the_opposite_of_two_classes_agrees_never(simplex_etf):
    h_NF, label_N = simplex_etf
    two = label_N < 2
    mean_LF = means(h_NF[two], label_N[two])
    assert agreement(h_NF[two], mean_LF, -2 * mean_LF, mean_LF.square().sum(1)) == 0


def test_a_far_origin_changes_nothing(labelled):
    h_NF, mean_LF = labelled[0], means(*labelled)
    weight_LF = torch.arange(15.0).view(3, 5).sin().double()
    offset_F = torch.full((5,), 2.0**30, dtype=torch.float64)
    moved = agreement(h_NF + offset_F, mean_LF + offset_F, weight_LF, -weight_LF @ offset_F)
    assert moved == agreement(h_NF, mean_LF, weight_LF)


def test_same_however_split(labelled, assert_same_however_split):
    h_NF, mean_LF = labelled[0], means(*labelled)
    weight_LF = torch.arange(15.0).view(3, 5).sin()
    assert_same_however_split(lambda **kwargs: NearestCentreAgreement(mean_LF, weight_LF, **kwargs), h_NF)


@pytest.mark.parametrize(
    ("mean_LF", "weight_LF", "bias_L", "message"),
    [
        (torch.ones(1, 5), torch.ones(1, 5), None, "give at least 2 classes"),
        (torch.full((3, 5), torch.inf), torch.ones(3, 5), None, "class means are not finite"),
        (torch.ones(3, 5), torch.ones(5, 3), None, r"weight has shape \(5, 3\)"),
        (torch.ones(3, 5), torch.ones(3, 5), torch.ones(4), r"bias has shape \(4,\)"),
    ],
)
def test_what_does_not_fit_is_refused(mean_LF, weight_LF, bias_L, message):
    with pytest.raises(ValueError, match=message):
        NearestCentreAgreement(mean_LF, weight_LF, bias_L)


def test_no_images_are_refused():
    metric = NearestCentreAgreement(torch.ones(3, 5), torch.ones(3, 5))
    metric.update(torch.empty(0, 5))
    with pytest.raises(ValueError, match="0 images; update it with at least 1"):
        metric.compute()
