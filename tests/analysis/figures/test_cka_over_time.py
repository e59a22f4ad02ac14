"""CKA of every pair of moments: 1 for what is only turned, near 0 for what is unrelated."""

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group

from ctc_lightning.analysis.figures.cka_over_time import cka_figure, cka_over_time


@pytest.fixture
def moments():
    rng = np.random.default_rng(0)
    h_NF = rng.normal(size=(400, 6))
    turned = 3 * h_NF @ ortho_group.rvs(6, random_state=0) + 1
    return {
        9: torch.from_numpy(rng.normal(size=(400, 6))),
        0: torch.from_numpy(h_NF),
        1: torch.from_numpy(turned),
    }


def test_turned_features_are_alike_and_independent_ones_are_not(moments):
    table = cka_over_time(moments)
    assert list(table.index) == list(table.columns) == [0, 1, 9]
    np.testing.assert_array_equal(table, table.T)
    np.testing.assert_allclose(np.diag(table), 1, atol=1e-12)
    assert table.loc[0, 1] == pytest.approx(1, abs=1e-9)
    # Debiased, CKA of independent white features has mean 0 and standard deviation √2/N = 0.0035
    assert table.loc[[0, 1], 9].abs().max() < 0.018


def test_the_figure_shows_the_tables_on_one_scale(moments, tmp_path):
    table = cka_over_time(moments)
    figure = cka_figure({"ce": table, "ctc_queue": table})
    maps = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in maps] == ["CE", "CTC, temporal queue"]
    for axes in maps:
        np.testing.assert_allclose(axes.images[0].get_array(), table)
        assert axes.images[0].get_clim() == (0, 1)
    figure.savefig(tmp_path / "cka.png")
