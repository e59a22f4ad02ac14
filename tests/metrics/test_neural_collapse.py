"""NC1, NC2 and NC3. N: images, F: features, L: classes."""

from itertools import combinations

import numpy as np
import pytest
import torch

from ctc_lightning.metrics import NeuralCollapse


def collapse(h_NF, label_N, weight_LF=None):
    metric = NeuralCollapse(h_NF.shape[1], int(label_N.max()) + 1, weight_LF)
    metric.update(h_NF, label_N)
    return {name: value.item() for name, value in metric.compute().items()}


def centred_means(h_NF, label_N):
    mean_LF = torch.stack([h_NF[label_N == c].mean(0) for c in range(int(label_N.max()) + 1)])
    return mean_LF - mean_LF.mean(0)


def test_equals_numpy(labelled):
    h_NF, label_N = labelled
    weight_LF = torch.arange(15.0).view(3, 5).sin()
    h, y, w = h_NF.numpy(), label_N.numpy(), weight_LF.double().numpy()
    means = [h[y == c].mean(0) for c in range(3)]
    within = sum(np.outer(h_F - means[c], h_F - means[c]) for h_F, c in zip(h, y, strict=True)) / 60
    m = np.stack(means) - np.mean(means, axis=0)
    between = sum(np.outer(row, row) for row in m) / 3
    norms = [np.sqrt(row @ row) for row in m]
    cosines = [m[i] @ m[j] / norms[i] / norms[j] for i, j in combinations(range(3), 2)]
    expected = {
        "nc1": np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / 3,
        "nc2_equinorm": np.std(norms) / np.mean(norms),
        "nc2_equiangular": np.std(cosines),
        "nc2_maximal_angle": np.mean([abs(cosine + 1 / 2) for cosine in cosines]),
        "nc3": ((w / np.sqrt((w**2).sum()) - m / np.sqrt((m**2).sum())) ** 2).sum(),
    }
    assert collapse(h_NF, label_N, weight_LF) == pytest.approx(expected, rel=1e-10)


def test_a_simplex_etf_is_full_collapse(simplex_etf):
    found = collapse(*simplex_etf, weight_LF=7 * centred_means(*simplex_etf))
    assert found == pytest.approx(dict.fromkeys(found, 0), abs=1e-12)
    assert len(found) == 5


def test_nc1_of_known_variances():
    """Means ±2 and within-class variance 1/4 along the first axis, anything along the second: (1/4)/4/2."""
    h_NF = torch.tensor([[1.5, 3], [2.5, -3], [-1.5, -5], [-2.5, 5]], dtype=torch.float64)
    assert collapse(h_NF, torch.tensor([0, 0, 1, 1]))["nc1"] == pytest.approx(1 / 32)


@pytest.mark.parametrize(("sign", "nc3"), [(1, 0), (-1, 4)])
def test_nc3_is_zero_along_the_means_and_four_against_them(sign, nc3, labelled):
    assert collapse(*labelled, sign * centred_means(*labelled))["nc3"] == pytest.approx(nc3, abs=1e-12)


def test_moving_turning_and_scaling_change_nothing(labelled):
    h_NF, label_N = labelled
    turn_FF = torch.linalg.qr(torch.arange(25.0, dtype=torch.float64).view(5, 5).sin() + torch.eye(5))[0]
    weight_LF = torch.arange(15.0).view(3, 5).cos().double()
    moved = collapse(3 * h_NF @ turn_FF + 1000, label_N, 5 * weight_LF @ turn_FF)
    assert moved == pytest.approx(collapse(h_NF, label_N, weight_LF), rel=1e-9)


def test_nc1_grows_with_the_square_of_the_spread_within_classes(labelled):
    h_NF, label_N = labelled
    mean_NF = torch.stack([h_NF[label_N == c].mean(0) for c in range(3)])[label_N]
    tighter = collapse(mean_NF + 1e-4 * (h_NF - mean_NF), label_N)
    assert tighter["nc1"] == pytest.approx(1e-8 * collapse(h_NF, label_N)["nc1"], rel=1e-6)


def test_same_however_split(labelled, assert_same_however_split):
    weight_LF = torch.arange(15.0).view(3, 5).sin()
    assert_same_however_split(lambda **kwargs: NeuralCollapse(5, 3, weight_LF, **kwargs), *labelled)


def test_without_a_classifier_there_is_no_nc3(labelled):
    assert "nc3" not in collapse(*labelled)


def test_more_classes_than_features_are_fine():
    h_NF = torch.randn(40, 2, generator=torch.Generator().manual_seed(0)).double()
    found = collapse(h_NF, torch.arange(40) % 5)
    assert all(np.isfinite(value) for value in found.values())


@pytest.mark.parametrize(
    ("weight_LF", "message"),
    [
        (torch.ones(5, 3), r"weight has shape \(5, 3\); features and classes need \(3, 5\)"),
        (torch.zeros(3, 5), "weight is zero or not finite"),
        (torch.full((3, 5), torch.nan), "weight is zero or not finite"),
    ],
)
def test_a_classifier_that_does_not_fit_is_refused(weight_LF, message):
    with pytest.raises(ValueError, match=message):
        NeuralCollapse(5, 3, weight_LF)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="num_classes is 1; it must be a whole number of at least 2"):
        NeuralCollapse(5, 1)


def test_constant_features_are_refused(labelled):
    with pytest.raises(ValueError, match="features are constant or degenerate"):
        collapse(torch.full((60, 5), 0.1, dtype=torch.float64), labelled[1])
