"""trade_off.png: accuracy over epochs for source and targets, and the plane of the one against the other."""

from math import ceil, sqrt

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from ctc_lightning.analysis.methods import colours, is_baseline, label
from ctc_lightning.analysis.trade_off import CLASSIFIER, HEADLINE, RUN, SOURCE, curves, early_stopping

INK, FAINT = "#333333", "#E4E4E4"
EPOCH_TICKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
SOURCE_TICKS = (0, 25, 50, 75, 90, 95, 98, 99, 99.5, 100)


def trade_off_figure(frame: pd.DataFrame, protocol: str = HEADLINE) -> Figure:
    """One data set's picture: on the left accuracy over epochs, on the right source against transfer.

    Lines are means over seeds, bands run from the lowest seed to the highest. In the plane, with the mean
    over targets as its height, a method's path runs with time to its dot, its seeds' ends are small dots,
    and a star marks where cross-entropy would have stopped by the targets' validation accuracy.

    Args:
        frame: comparable runs of one data set, as of `ctc_lightning.analysis.comparable`.
        protocol: the probe that measures the targets.

    Returns:
        A figure of 14 × 8 inches outside pyplot's global state: save it with ``savefig(path, dpi=150)``.
    """
    measured = curves(frame)
    measured = measured[measured["protocol"].isin([protocol, CLASSIFIER])]
    stopped = early_stopping(frame, protocol).rename(columns={"final": "top1"})
    stopped = stopped[stopped["method"].map(is_baseline)]
    paint = colours(measured["method"])
    targets = [SOURCE, *(target for target in measured["target"].unique() if target != SOURCE)]

    figure = Figure(figsize=(14, 8), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.15, 1))
    left.suptitle(f"{frame['data'].iloc[0]}: test accuracy over epochs ({protocol} probe)", color=INK)
    cells = len(targets) + 1  # the last one is for the legend
    columns = 1 if cells == 3 else ceil(sqrt(cells))
    grid = left.subplots(ceil(cells / columns), columns, sharex=True, sharey=True, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(targets):
            axes.remove()
            continue
        _over_epochs(axes, measured[measured["target"] == targets[place]], paint)
        axes.set_title(targets[place], color=INK, fontweight="bold")
        axes.tick_params(labelbottom=place + columns >= len(targets))
    left.legend(handles=_key(paint), loc="lower right", frameon=False, fontsize=11)
    right.suptitle("Where training takes each method", color=INK)
    _plane(right.subplots(), _points(measured), _points(stopped), paint)
    return figure


def _over_epochs(axes: Axes, rows: pd.DataFrame, paint: dict[str, str]) -> None:
    for method, colour in paint.items():
        seeds = 100 * rows[rows["method"] == method].groupby("epoch")["top1"].agg(["mean", "min", "max"])
        axes.plot(seeds["mean"], color=colour, lw=2, marker="o", ms=4, markevery=[-1], label=label(method))
        axes.fill_between(seeds.index, seeds["min"], seeds["max"], color=colour, alpha=0.2, lw=0)
    last = max(rows["epoch"].max(), 1)
    # log(1 + epoch), because the peak comes within a few epochs and epoch 0 belongs to the picture.
    axes.set_xscale("function", functions=(np.log1p, np.expm1))
    axes.set_xlim(0, 1.06 * last)
    _dress(axes, [epoch for epoch in EPOCH_TICKS if epoch <= last])


def _points(rows: pd.DataFrame) -> pd.DataFrame:
    """Source and transfer accuracy (mean over targets) in per cent; index method, epoch, seed."""
    source = rows["target"] == SOURCE
    means = (
        100 * part.groupby(["method", "epoch", "seed"])["top1"].mean()
        for part in (rows[source], rows[~source])
    )
    return pd.concat(means, axis=1, keys=["source", "transfer"]).dropna()


def _plane(axes: Axes, points: pd.DataFrame, stopped: pd.DataFrame, paint: dict[str, str]) -> None:
    least = points["source"].min() - 2
    # The end of training crowds at 98 to 100 %: −log(error + ½ point) gives each halving the same room.
    axes.set_xscale("function", functions=(lambda x: -np.log(100.5 - x), lambda x: 100.5 - np.exp(-x)))
    axes.set_xlim(least, 100)
    for place, (method, colour) in enumerate(paint.items()):
        seeds = points.loc[method]
        path, ends = seeds.groupby("epoch").mean(), seeds.loc[seeds.index.get_level_values("epoch").max()]
        axes.plot(path["source"], path["transfer"], color=colour, lw=2, marker="o", ms=10, markevery=[-1])
        axes.scatter(ends["source"], ends["transfer"], s=14, color=colour, alpha=0.6, lw=0)
        for start, end in _arrows(axes, path.to_numpy()):
            axes.annotate(
                "",
                end,
                start,
                arrowprops={"arrowstyle": "-|>", "mutation_scale": 18, "color": colour, "lw": 0},
            )
        if method in stopped.index:
            star = stopped.loc[method].mean()
            # Two baselines may stop at the same point: the later star is smaller, so both are seen.
            axes.scatter(*star, s=600 / (1 + place), marker="*", color=colour, edgecolors="white", zorder=3)
    axes.annotate(
        "epoch 0", points.groupby("epoch").mean().iloc[0], (8, -4), textcoords="offset points", color=INK
    )
    _dress(axes, [tick for tick in SOURCE_TICKS if tick >= least])
    axes.set_xlabel("source accuracy (stretched towards 100%)", color=INK)
    axes.set_ylabel("transfer accuracy, mean over targets", color=INK)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}%"))


def _arrows(axes: Axes, path: np.ndarray, parts: int = 4) -> np.ndarray:
    """The segments (start, end) of a path at each quarter of its way as drawn; none for a single point."""
    drawn = axes.transScale.transform(path) / np.ptp(axes.transScale.transform(axes.viewLim), axis=0)
    way = np.cumsum(np.hypot(*np.diff(drawn, axis=0).T))
    quarters = np.unique(np.searchsorted(way, way[-1] * np.arange(1, parts) / parts)) if len(way) else []
    return np.stack([path[:-1], path[1:]], axis=1)[quarters]


def _dress(axes: Axes, ticks: list[float]) -> None:
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}%"))
    axes.grid(color=FAINT)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _key(paint: dict[str, str]) -> list[Artist]:
    return [
        *(Line2D([], [], color=colour, lw=3, label=label(method)) for method, colour in paint.items()),
        Patch(color=INK, alpha=0.2, lw=0, label="lowest to highest seed"),
        Line2D([], [], color=INK, marker="o", ls="", ms=8, label="end of training"),
        Line2D([], [], color=INK, marker="*", ls="", ms=13, label="CE, stopped early"),
    ]
