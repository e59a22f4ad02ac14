"""How alike a network's features are at different moments of its training: CKA of every pair of checkpoints.

N: images, F: features
"""

from collections.abc import Mapping
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from ctc_lightning.analysis.figures.style import INK
from ctc_lightning.analysis.frames.methods import label
from ctc_lightning.metrics import LinearCKA


def cka_over_time(moments: Mapping[int, Tensor]) -> pd.DataFrame:
    """Debiased `LinearCKA` of the features at every pair of epochs; 1 on the diagonal, symmetric.

    Args:
        moments: epoch -> (N, F) features of the same images.

    Raises:
        ValueError: see `LinearCKA`.
    """
    epochs = sorted(moments)
    table = pd.DataFrame(np.ones((len(epochs), len(epochs))), index=epochs, columns=epochs)
    for one, other in combinations_with_replacement(epochs, 2):
        metric = LinearCKA(moments[one].shape[1], moments[other].shape[1], debiased=True)
        metric.update(moments[one], moments[other])
        table.loc[one, other] = table.loc[other, one] = float(metric.compute())
    return table


def cka_figure(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """A map for each method; all share one scale from 0 to 1.

    Args:
        tables: method -> what `cka_over_time` returns.
    """
    figure = Figure(figsize=(4.6 * len(tables) + 0.8, 4.4), layout="constrained")
    grid = figure.subplots(1, len(tables), squeeze=False)
    for axes, (method, table) in zip(grid.flat, tables.items(), strict=True):
        image = axes.imshow(table, vmin=0, vmax=1, cmap="cividis", origin="lower")
        axes.set_xticks(range(len(table)), table.columns, rotation=90)
        axes.set_yticks(range(len(table)), table.index)
        axes.tick_params(length=0, colors=INK, labelsize=9)
        axes.spines[:].set_visible(False)
        axes.set_title(label(method), color=INK, fontsize=12)
        axes.set_xlabel("epoch", color=INK)
    grid[0, 0].set_ylabel("epoch", color=INK)
    figure.colorbar(image, ax=grid, label="CKA", shrink=0.8)
    return figure
