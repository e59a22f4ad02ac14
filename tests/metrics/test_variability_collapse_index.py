"""The variability collapse index. N: images, F: features, L: classes."""

import numpy as np
import pytest
import torch

from ctc_lightning.metrics import VariabilityCollapseIndex


def vci(h_NF, label_N):
    metric = VariabilityCollapseIndex(h_NF.shape[1], int(label_N.max()) + 1)
    metric.update(h_NF, label_N)
    return metric.compute().item()


def test_equals_numpy(labelled):
    h, y = (tensor.numpy() for tensor in labelled)
    total = np.cov(h.T, bias=True)
    between = sum(
        (y == c).mean() * np.outer(h[y == c].mean(0) - h.mean(0), h[y == c].mean(0) - h.mean(0))
        for c in range(3)
    )
    expected = 1 - np.trace(np.linalg.inv(total) @ between) / np.linalg.matrix_rank(between)
    assert vci(*labelled) == pytest.approx(expected, rel=1e-10)


def test_full_collapse_gives_zero(simplex_etf):
    assert vci(*simplex_etf) == pytest.approx(0, abs=1e-12)


def test_known_share_of_the_variance():
    """Between ±2, within ±1/2, one axis: 1 − 4/4.25."""
    h_NF = torch.tensor([[1.5], [2.5], [-1.5], [-2.5]], dtype=torch.float64)
    assert vci(h_NF, torch.tensor([0, 0, 1, 1])) == pytest.approx(0.25 / 4.25)


def test_labels_without_a_trace_in_the_features_give_almost_one():
    generator = torch.Generator().manual_seed(0)
    h_NF, label_N = torch.randn(3000, 4, generator=generator), torch.randint(3, (3000,), generator=generator)
    assert 0.995 < vci(h_NF, label_N) < 1


def test_any_invertible_linear_map_and_offset_change_nothing(labelled):
    h_NF, label_N = labelled
    map_FF = torch.arange(25.0, dtype=torch.float64).view(5, 5).sin() + torch.diag(torch.arange(1, 6))
    assert vci(100 * h_NF @ map_FF + 1000, label_N) == pytest.approx(vci(h_NF, label_N), rel=1e-9)


def test_unused_and_repeated_features_change_nothing(labelled):
    """As of dead units, or of far more features than images: Σ_T has no inverse."""
    h_NF, label_N = labelled
    wide_NF = torch.cat([h_NF, torch.ones(60, 100), 3 * h_NF], dim=1)
    assert vci(wide_NF, label_N) == pytest.approx(vci(h_NF, label_N), rel=1e-9)


def test_same_however_split(labelled, assert_same_however_split):
    assert_same_however_split(lambda **kwargs: VariabilityCollapseIndex(5, 3, **kwargs), *labelled)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="num_classes is 1; it must be a whole number of at least 2"):
        VariabilityCollapseIndex(5, 1)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9])
def test_constant_features_are_refused(value, labelled):
    with pytest.raises(ValueError, match="all 3 class means are equal"):
        vci(torch.full((60, 5), value, dtype=torch.float64), labelled[1])
