"""Shares of the variance: those of a known covariance, and errors for what has none."""

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group

from ctc_lightning.analysis import spectrum, spectrum_figure


def test_the_shares_are_those_of_the_covariance_s_eigenvalues():
    rng = np.random.default_rng(0)
    h_NF = rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6)) + 100
    value = np.sort(np.linalg.eigvalsh(np.cov(h_NF.T)))[::-1]
    np.testing.assert_allclose(spectrum(torch.from_numpy(h_NF)), value / value.sum(), rtol=1e-9)


def test_features_of_known_variances_on_turned_axes():
    """±s_i on axis i alone: the variances are s_i² to the bit, whatever the rotation."""
    scale = np.array([3.0, 2.0, 1.0])
    rows = np.concatenate([np.diag(scale), -np.diag(scale)]) @ ortho_group.rvs(3, random_state=0)
    np.testing.assert_allclose(spectrum(rows), scale**2 / 14, rtol=1e-12)


def test_collapse_onto_three_centres_leaves_two_directions():
    centre_LF = np.random.default_rng(0).normal(size=(3, 8))
    share = spectrum(np.repeat(centre_LF, 10, axis=0))
    assert share[1] > 1e-3
    np.testing.assert_allclose(share[2:], 0, atol=1e-20)


@pytest.mark.parametrize(
    ("h_NF", "reason"),
    [
        (np.ones((1, 4)), "number of images is 1"),
        (np.full((5, 4), np.nan), "not finite"),
        (np.full((5, 4), 0.1, np.float32), "5 images have the same features"),
        (np.zeros((5, 4)), "5 images have the same features"),
    ],
)
def test_features_without_a_spectrum_are_refused(h_NF, reason):
    with pytest.raises(ValueError, match=reason):
        spectrum(h_NF)


def test_the_figure_has_a_line_for_each_epoch_and_marks_full_collapse(tmp_path):
    rng = np.random.default_rng(0)
    moments = {epoch: rng.normal(size=(30, 5)) for epoch in (10, 0)}
    figure = spectrum_figure({"ce": moments, "ctc_queue": moments}, num_classes=4)
    for axes in figure.axes:
        first, last, collapse = axes.lines
        assert [first.get_label(), last.get_label()] == ["epoch 0", "epoch 10"]
        np.testing.assert_allclose(last.get_ydata(), spectrum(moments[10]))
        np.testing.assert_array_equal(last.get_xdata(), range(1, 6))
        assert set(collapse.get_xdata()) == {3}
    figure.savefig(tmp_path / "spectrum.png")
