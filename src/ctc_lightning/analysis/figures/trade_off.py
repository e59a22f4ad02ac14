"""trade_off: accuracy over epochs for source and targets, and the plane of the one against the other."""

from collections.abc import Collection
from math import ceil, sqrt
from textwrap import fill
from typing import NamedTuple

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ctc_lightning.analysis.figures.highlight import MOST, backbones, highlighted
from ctc_lightning.analysis.figures.plane import (
    backbone_heights,
    draw_plane,
    height_label,
    no_plane,
    plane_points,
)
from ctc_lightning.analysis.figures.report_part import ReportPart, is_trained
from ctc_lightning.analysis.figures.style import (
    INK,
    PER_CENT,
    backbone_lines,
    bands,
    epoch_axis,
    legend_below,
    legend_handles,
    style_axes,
)
from ctc_lightning.analysis.frames.comparable import common_targets
from ctc_lightning.analysis.frames.methods import colours, is_baseline, label, markers, target_label
from ctc_lightning.analysis.frames.trade_off import (
    CLASSIFIER,
    SOURCE,
    before_learning,
    curves,
    early_stopping,
    headline,
    summary,
)

IN_A_CELL = 28  # characters, that a legend beside the panels has room for
LONG_NAME = 20  # characters of a target


class Shown(NamedTuple):
    """What both halves show: curves with and without plain backbones, colours and markers."""

    trained: pd.DataFrame
    plain: pd.DataFrame
    paint: dict[str, str]
    marks: dict[str, str]
    backbones: list[str]


def trade_off_figure(frame: pd.DataFrame, protocol: str | None = None) -> Figure:
    """One data set's picture: on the left accuracy over epochs, on the right source against transfer.

    Lines are means over seeds, bands run from the lowest seed to the highest. In the plane, with the mean
    over the targets that all methods share as its height, a method's path runs with time to its mark, its
    seeds' ends are small dots, and a star marks where cross-entropy would have stopped by the targets'
    validation accuracy. Of more methods than colours the best are in colour and the others grey; plain
    backbones are dashed lines. Without a common epoch of source and targets there is no right half: see
    `ctc_lightning.analysis.no_plane`.

    Args:
        frame: comparable runs of one data set, as of `ctc_lightning.analysis.frames.comparable`.
        protocol: the probe that measures the targets; None: the headline.

    Returns:
        A figure of 14 × 8 inches (more for more than 8 targets) outside pyplot's global state.
    """
    protocol = protocol or headline(frame)
    measured = curves(frame)
    measured = measured[measured["protocol"].isin([protocol, CLASSIFIER])]
    numbers = summary(frame)
    methods = highlighted(numbers, protocol)
    paint = colours(methods)
    shown = Shown(
        trained=measured[~measured["plain"]],
        plain=measured[measured["plain"]],
        paint={method: paint[method] for method in methods},
        marks=markers(methods),
        backbones=backbones(numbers[numbers["protocol"] == protocol]),
    )
    with_plane = not no_plane(frame, protocol)
    num_panels = measured["target"].nunique()
    columns = 1 if num_panels == 2 else ceil(sqrt(num_panels))
    rows = ceil(num_panels / columns)
    full = num_panels == rows * columns  # no cell is left for the legend
    wider = max(columns - 3, 0)
    size = (14 if with_plane else 9) + 2.4 * wider, max(8, 2.4 * rows)
    figure = Figure(figsize=size, layout="constrained")
    shares = (1.05 + 0.35 * wider, 1) if with_plane else (1,)
    grid = figure.add_gridspec(1, len(shares), width_ratios=shares)
    parts = [figure.add_subfigure(grid[place]) for place in range(len(shares))]
    parts[0].suptitle(
        f"{frame['data'].iloc[0]}: test accuracy over epochs ({protocol} probe)", color=INK, fontsize=14
    )
    stopped = early_stopping(frame, protocol)
    stopped = stopped[stopped["method"].map(is_baseline) & stopped["method"].isin(shown.paint)]
    hasty = before_learning(numbers[numbers["protocol"].isin([protocol, CLASSIFIER])])
    handles = _legend(shown)
    if with_plane:
        handles += _stars(shown.paint, set(stopped["method"]), hasty)
    _panels(parts[0], measured, shown, (rows, columns))
    longest = max(len(line) for handle in handles for line in str(handle.get_label()).splitlines())
    if full or longest > IN_A_CELL or len(handles) > MOST + 2:
        legend_below(parts[0], handles, size[0] * shares[0] / sum(shares))
    else:
        small = len(handles) > 8 or columns > 3
        parts[0].legend(handles=handles, loc="lower right", frameon=False, fontsize=9 if small else 11)
    if with_plane:
        parts[1].suptitle("where training takes each method", color=INK, fontsize=14)
        _right(parts[1].subplots(), shown, stopped.rename(columns={"final": "test"}), protocol)
    return figure


def _panels(part: SubFigure, measured: pd.DataFrame, shown: Shown, shape: tuple[int, int]) -> None:
    """A panel for the source and for each target; cells that are left stay free for the legend."""
    metric = measured.drop_duplicates("target").set_index("target")["metric"]
    targets = sorted(metric.index, key=lambda target: target != SOURCE)  # the source first
    rows, columns = shape
    grid = part.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    first, last = shown.trained["epoch"].min(), shown.trained["epoch"].max()
    for place, axes in enumerate(grid.flat):
        if place >= len(targets):
            axes.remove()
            continue
        target = targets[place]
        bands(axes, shown.trained[shown.trained["target"] == target], shown.paint, shown.marks, 100)
        backbone_lines(axes, shown.plain[shown.plain["target"] == target], shown.backbones, 100)
        epoch_axis(axes, first, last)
        axes.yaxis.set_major_formatter(PER_CENT)
        style_axes(axes)
        name = target_label(target, metric[target])
        axes.set_title(name, color=INK, fontweight="bold", fontsize=12 if len(name) <= LONG_NAME else 9)
        lowest = place + columns >= len(targets)
        axes.set_xlabel("epoch" if lowest else "", color=INK)
        axes.tick_params(labelbottom=lowest)


def _legend(shown: Shown) -> list[Artist]:
    num_others = shown.trained["method"].nunique() - len(shown.paint)
    handles = legend_handles(shown.paint, shown.marks, num_others, shown.backbones)
    if (seeds := shown.trained["seed"].nunique()) > 1:
        handles.append(Patch(color=INK, alpha=0.2, lw=0, label=f"range of {seeds} seeds"))
    return handles


def _stars(paint: dict[str, str], stopped: Collection[str], hasty: list[str]) -> list[Artist]:
    """Each star of the plane in its own colour, and whether the network there is almost untrained."""
    names = {
        method: f"{label(method)}, stopped early{', source hardly learnt' if method in hasty else ''}"
        for method in paint
        if method in stopped
    }
    return [
        Line2D([], [], color=paint[method], marker="*", ls="", ms=13, label=fill(name, IN_A_CELL))
        for method, name in names.items()
    ]


def _right(axes: Axes, shown: Shown, stopped: pd.DataFrame, protocol: str) -> None:
    probes = shown.trained[shown.trained["protocol"] == protocol]
    shared = common_targets(probes)
    draw_plane(
        axes, plane_points(shown.trained, shared), plane_points(stopped, shared), shown.paint, shown.marks
    )
    backbone_heights(axes, shown.plain, shared, shown.backbones)
    metric = probes.drop_duplicates("target").set_index("target")["metric"]
    axes.set_ylabel(height_label(shared, len(metric), metric), color=INK)


TRADE_OFF = ReportPart(
    "trade_off",
    "Accuracy over epochs, and the trade-off",
    trade_off_figure,
    "Left: test accuracy while training, a panel for each target; line: mean over seeds, band: lowest to "
    "highest seed. Right: each method's path over time; up is better transfer, right better source accuracy. "
    "A star marks where cross-entropy would have stopped by the targets' validation accuracy.",
    when=is_trained,
)
