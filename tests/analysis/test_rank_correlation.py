"""Many rank correlations at once are SciPy's, one by one. G: rankings, N: members."""

import numpy as np
import pytest
from scipy.stats import spearmanr, weightedtau

from ctc_lightning.analysis import rank_correlation
from ctc_lightning.analysis.rank_correlation import rank_correlations


def test_one_by_hand():
    """The two best are exchanged: ρ = 1 − 6·2/(4·15); of the weights 3·(1 + 1/2 + 1/3 + 1/4), 1 + 1/2."""
    rho, tau = rank_correlations(np.array([[1.0, 2.0, 4.0, 3.0]]), np.array([[0.1, 0.2, 0.3, 0.4]]))
    assert rho == pytest.approx([0.8])
    assert tau == pytest.approx([(6.25 - 2 * 1.5) / 6.25])


@pytest.mark.parametrize("num_members", [3, 4, 12, 41])
@pytest.mark.parametrize("ties", [False, True])
def test_the_same_as_scipys(num_members, ties, monkeypatch):
    random = np.random.default_rng(0)
    x_GN, y_GN = random.normal(size=(2, 30, num_members))
    if ties:
        x_GN, y_GN = x_GN.round(), y_GN.round()
    x_GN[0, :2], y_GN[0, :2] = (1, 2), (1, 2)  # none is constant
    varied_G = (np.ptp(x_GN, axis=1) > 0) & (np.ptp(y_GN, axis=1) > 0)
    monkeypatch.setattr(rank_correlation, "_BLOCK", 7 * num_members**2)
    rho_G, tau_G = rank_correlations(x_GN, y_GN)
    assert varied_G.sum() > 10
    pairs = list(zip(x_GN[varied_G], y_GN[varied_G], strict=True))
    assert rho_G[varied_G] == pytest.approx([spearmanr(x, y).statistic for x, y in pairs], abs=1e-12)
    assert tau_G[varied_G] == pytest.approx([weightedtau(x, y).statistic for x, y in pairs], abs=1e-12)
    assert np.isnan(rho_G[~varied_G]).all()


def test_equal_numbers_and_two_members_have_none():
    same, rising = np.full((1, 4), 0.1), np.arange(4.0)[None]
    for x, y in (
        (same, rising),
        (rising, same),
        (rising[:, :2], rising[:, :2]),
        (rising[:, :0], same[:, :0]),
    ):
        assert np.isnan(rank_correlations(x, y)).all()


def test_the_order_of_the_best_counts_most():
    ranked = np.arange(6.0)
    worst_exchanged, best_exchanged = np.array([1.0, 0, 2, 3, 4, 5]), np.array([0.0, 1, 2, 3, 5, 4])
    rho, tau = rank_correlations(np.stack([worst_exchanged, best_exchanged]), np.stack([ranked, ranked]))
    assert rho[0] == pytest.approx(rho[1])
    assert tau[0] > tau[1]
