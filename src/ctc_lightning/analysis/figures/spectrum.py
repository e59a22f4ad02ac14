"""The spectrum of features: how their variance is shared among directions, at several moments of training.

N: images, F: features
"""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ctc_lightning.analysis.figures.style import INK, SOFT, style_axes
from ctc_lightning.analysis.frames.methods import label

_LEAST = 1e-8  # share of the variance, below which a direction is left out of the picture


def spectrum(h_NF: ArrayLike) -> NDArray[np.float64]:
    """λ_i / Σ_j λ_j, λ the eigenvalues of the covariance of the features, descending.

    Args:
        h_NF: (N, F).

    Returns:
        (min(N, F),) float64, shares of the variance.

    Raises:
        ValueError: fewer than 2 images, features that are not finite, or the same for all images.
    """
    h_NF = np.asarray(h_NF, np.float64)
    if len(h_NF) < 2:
        raise ValueError(f"spectrum: the number of images is {len(h_NF)}; variance needs at least 2")
    if not np.isfinite(h_NF).all():
        raise ValueError(
            "spectrum: features are not finite; the network has diverged, take an earlier checkpoint"
        )
    variance = np.linalg.svd(h_NF - h_NF.mean(0), compute_uv=False) ** 2
    rounding = np.finfo(np.float32).eps * np.abs(h_NF).max()  # features come in float32
    if variance[0] <= rounding**2 * len(h_NF):
        raise ValueError(f"spectrum: the {len(h_NF)} images have the same features; take another checkpoint")
    return variance / variance.sum()


def spectrum_figure(
    features: Mapping[str, Mapping[int, ArrayLike]], *, num_classes: int | None = None
) -> Figure:
    """A panel for each method: share of the variance of each direction, a line for each epoch.

    Args:
        features: method -> epoch -> (N, F) features of the same images.
        num_classes: L of the source task; marks direction L − 1, the last that full collapse onto class
            means leaves.

    Raises:
        ValueError: see `spectrum`.
    """
    figure = Figure(figsize=(5.2 * len(features) + 1.6, 4.2), layout="constrained")
    grid = figure.subplots(1, len(features), sharex=True, sharey=True, squeeze=False)
    for axes, (method, moments) in zip(grid.flat, features.items(), strict=True):
        shades = mpl.colormaps["viridis"](np.linspace(0, 0.9, len(moments)))
        for (epoch, h_NF), shade in zip(sorted(moments.items()), shades, strict=True):
            share = spectrum(h_NF)
            share = share[share > _LEAST]
            axes.plot(np.arange(1, len(share) + 1), share, color=shade, lw=2, label=f"epoch {epoch}")
        if num_classes is not None:
            axes.axvline(num_classes - 1, color=SOFT, ls=":", lw=1.2, label=f"{num_classes} classes − 1")
        axes.set_xscale("log")
        axes.set_yscale("log")
        style_axes(axes)
        axes.set_title(label(method), color=INK, fontsize=12)
        axes.set_xlabel("direction, by its variance", color=INK)
    grid[0, 0].set_ylabel("share of the variance", color=INK)
    figure.legend(*grid[0, -1].get_legend_handles_labels(), frameon=False, loc="outside right center")
    return figure
