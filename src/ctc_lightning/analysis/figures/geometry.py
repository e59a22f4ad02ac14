"""How features lie, over epochs: neural collapse, rank and likeness to other moments of the run."""

from collections.abc import Mapping
from math import ceil
from types import MappingProxyType

import pandas as pd
from matplotlib.figure import Figure

from ctc_lightning.analysis.figures.highlight import MOST
from ctc_lightning.analysis.figures.style import (
    INK,
    bands,
    epoch_axis,
    legend_below,
    legend_handles,
    style_axes,
)
from ctc_lightning.analysis.frames.methods import colours, markers, ordered

GEOMETRY = "geometry"
PANELS: Mapping[str, str] = MappingProxyType(
    {
        "nc1": "NC1: spread within classes\nover spread between them",
        "nc2_equiangular": "NC2: how unequal the angles\nbetween class means are",
        "nc3": "NC3: distance of classifier\nand class means",
        "nc4": "NC4: share classified as the\nnearest class mean does",
        "effective_rank": "effective rank",
        "cka_first": "CKA with the first checkpoint",
        "cka_previous": "CKA with the previous one",
        "uniformity": "uniformity (lower: more even)",
    }
)
_LOGARITHMIC = ("nc1",)  # falls by orders of magnitude


def geometry_figure(
    frame: pd.DataFrame, target: str = "source", panels: Mapping[str, str] = PANELS
) -> Figure:
    """A panel for each number of the protocol ``geometry``, over epochs: mean and range of the seeds.

    Args:
        frame: comparable runs of one data set.
        target: whose images and classes; ``source``: those of the training task.
        panels: metric -> title; a metric that no run has is left out.

    Raises:
        ValueError: no run has any of them.
    """
    measured = frame[(frame["protocol"] == GEOMETRY) & (frame["target"] == target) & ~frame["plain"]]
    shown = [metric for metric in panels if metric in set(measured["metric"])]
    if not shown:
        raise ValueError(
            f"no geometry was measured on {target}: run `python -m ctc_lightning.transfer run=RUN_DIR "
            "protocol=geometry`"
        )
    methods = ordered(measured["method"])[:MOST]
    paint, marks = colours(methods), markers(methods)
    columns = min(4, len(shown))
    figure = Figure(figsize=(3.4 * columns, 2.9 * ceil(len(shown) / columns) + 0.6), layout="constrained")
    grid = figure.subplots(ceil(len(shown) / columns), columns, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(shown):
            axes.remove()
            continue
        rows = measured[measured["metric"] == shown[place]].rename(columns={"value": "test"})
        bands(axes, rows, {method: paint[method] for method in methods}, marks)
        epoch_axis(axes, measured["epoch"].min(), measured["epoch"].max())
        if shown[place] in _LOGARITHMIC:
            axes.set_yscale("log")
        style_axes(axes)
        axes.set_title(panels[shown[place]], color=INK, fontsize=10)
        axes.set_xlabel("epoch", color=INK)
    others = measured["method"].nunique() - len(methods)
    legend_below(figure, legend_handles(paint, marks, others, []), 3.4 * columns)
    return figure
