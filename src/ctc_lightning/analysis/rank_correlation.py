"""Spearman's ρ and Kendall's weighted τ of many rankings at once. G: rankings, N: members of each."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
LEAST = 3  # two members are always in one order or the other
_BLOCK = 2**20  # pairs held at once: a dozen arrays of 8 MiB


def rank_correlations(x_GN: Numbers, y_GN: Numbers) -> tuple[Numbers, Numbers]:
    """(G,) ρ and (G,) τ_w, in [−1, 1], of every row of x with the same row of y.

        ρ   = Σ_i a_i b_i / sqrt(Σ_i a_i² Σ_i b_i²),  a_i = Σ_j s_ij, b_i = Σ_j t_ij
        τ_r = Σ_ij w_i s_ij t_ij / sqrt(Σ_ij w_i s_ij² Σ_ij w_i t_ij²),  w_i = 1/(1 + r_i)
        τ_w = (τ_r + τ_r')/2

    with s_ij = sign(x_i − x_j), t_ij = sign(y_i − y_j), r_i the place of i when sorted by decreasing x and
    among equal ones by decreasing y, from 0 on, and r' likewise by y, then x: the order of the best counts
    most. a_i is twice the rank about its mean, and ties have their average rank.

    NaN in both, where there are fewer than 3 members, or where all x or all y are equal.

    Args:
        x_GN: (G, N), finite.
        y_GN: (G, N), finite.

    Source: Vigna 2015, arXiv 1404.3325, additive hyperbolic weights; the same numbers as
    `scipy.stats.spearmanr` and `scipy.stats.weightedtau`, which take one ranking at a time.
    """
    num_rankings, num_members = x_GN.shape
    rho_G, tau_G = np.full((2, num_rankings), np.nan)
    if num_members >= LEAST:
        rows = max(1, _BLOCK // num_members**2)
        for start in range(0, num_rankings, rows):
            block = slice(start, start + rows)
            rho_G[block], tau_G[block] = _of_block(x_GN[block], y_GN[block])
    return rho_G, tau_G


def _of_block(x_GN: Numbers, y_GN: Numbers) -> tuple[Numbers, Numbers]:
    s_GNN, t_GNN = (np.sign(z_GN[:, :, None] - z_GN[:, None, :]) for z_GN in (x_GN, y_GN))
    rho_G = _normalised(s_GNN.sum(2), t_GNN.sum(2))
    products = [(u * v).sum(2) for u, v in ((s_GNN, t_GNN), (s_GNN, s_GNN), (t_GNN, t_GNN))]
    earlier_NN = np.tri(x_GN.shape[1], k=-1, dtype=bool)  # for members that tie in both
    taus = []
    for order_GNN in (2 * s_GNN + t_GNN, s_GNN + 2 * t_GNN):
        place_GN = ((order_GNN < 0) | ((order_GNN == 0) & earlier_NN)).sum(2)
        st_G, ss_G, tt_G = ((product_GN / (1 + place_GN)).sum(1) for product_GN in products)
        taus.append(_ratio(st_G, ss_G * tt_G))
    return rho_G, (taus[0] + taus[1]) / 2


def _normalised(a_GN: Numbers, b_GN: Numbers) -> Numbers:
    return _ratio((a_GN * b_GN).sum(1), (a_GN**2).sum(1) * (b_GN**2).sum(1))


def _ratio(product_G: Numbers, squares_G: Numbers) -> Numbers:
    undefined_G = squares_G == 0  # all x or all y are equal
    return np.where(undefined_G, np.nan, product_G / np.sqrt(np.where(undefined_G, 1, squares_G)))
