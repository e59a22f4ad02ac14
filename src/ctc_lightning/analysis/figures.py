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
from ctc_lightning.analysis.trade_off import CLASSIFIER, HEADLINE, SOURCE, curves, early_stopping

INK, FAINT = "#333333", "#E4E4E4"
EPOCH_TICKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
SOURCE_TICKS = (0, 25, 50, 75, 90, 95, 98, 99, 99.5, 100)
PER_CENT = StrMethodFormatter("{x:g}%")


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
    halves = figure.add_gridspec(1, 2, width_ratios=(1.15, 1))
    left, right = figure.add_subfigure(halves[0]), figure.add_subfigure(halves[1])
    data = frame["data"].iloc[0]
    left.suptitle(f"{data}: test accuracy over epochs ({protocol} probe)", color=INK, fontsize=14)
    cells = len(targets) + 1  # the last one is for the legend
    columns = 1 if cells == 3 else ceil(sqrt(cells))
    grid = left.subplots(ceil(cells / columns), columns, sharex=True, sharey=True, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(targets):
            axes.remove()
            continue
        _over_epochs(axes, measured[measured["target"] == targets[place]], paint)
        axes.set_title(targets[place], color=INK, fontweight="bold")
        axes.set_xlabel("epoch" if place == len(targets) - 1 else "", color=INK)
        axes.tick_params(labelbottom=place + columns >= len(targets))
    left.legend(handles=_key(paint, frame["seed"].nunique()), loc="lower right", frameon=False, fontsize=11)
    right.suptitle("where training takes each method", color=INK, fontsize=14)
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
    # The end of training crowds at 98 to 100%: −log(error + ½ point) gives each halving of it the same room.
    axes.set_xscale("function", functions=(lambda x: -np.log(100.5 - x), lambda x: 100.5 - np.exp(-x)))
    axes.set_xlim(least, 100)
    for place, (method, colour) in enumerate(paint.items()):
        seeds = points.loc[method]
        mean = seeds.groupby("epoch").mean()
        # A dozen probes, evenly spaced on the left's axis: all of them would scribble over the corner.
        epochs = pd.Index(np.expm1(np.linspace(0, np.log1p(mean.index[-1]), 12)))
        path = mean.to_numpy()[np.unique(mean.index.get_indexer(epochs, method="nearest"))]
        axes.plot(*path.T, color=colour, lw=2, marker="o", ms=4)
        _arrows(axes, path, colour)
        ends = seeds.loc[mean.index[-1]]
        axes.scatter(ends["source"], ends["transfer"], 14, color=colour, alpha=0.6, lw=0)
        axes.scatter(path[-1, 0], path[-1, 1], 110, color=colour, zorder=3)
        if method in stopped.index:
            # Two baselines may stop at one point: the later star is smaller, so that both are seen.
            x, y = stopped.loc[method].to_numpy().mean(axis=0)
            axes.scatter(x, y, 600 / (1 + place), marker="*", color=colour, edgecolors="w", zorder=4)
    start = points.groupby("epoch").mean().iloc[0]
    axes.annotate(f"epoch {start.name}", tuple(start), (8, -4), textcoords="offset points", color=INK)
    _dress(axes, [tick for tick in SOURCE_TICKS if tick >= least])
    axes.xaxis.set_major_formatter(PER_CENT)
    axes.set_xlabel("source accuracy (stretched towards 100%)", color=INK)
    axes.set_ylabel("transfer accuracy, mean over targets", color=INK)


def _arrows(axes: Axes, path: np.ndarray, colour: str) -> None:
    """Heads on the four segments that look longest."""
    drawn = axes.transScale.transform(path) / np.ptp(axes.transScale.transform(axes.viewLim), axis=0)
    longest = np.argsort(np.hypot(*np.diff(drawn, axis=0).T))[-4:]
    for start in longest:
        style = {"arrowstyle": "-|>", "mutation_scale": 18, "color": colour, "lw": 0, "shrinkB": 3}
        axes.annotate("", path[start + 1], path[start], arrowprops=style)


def _dress(axes: Axes, ticks: list[float]) -> None:
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PER_CENT)
    axes.grid(color=FAINT)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _key(paint: dict[str, str], num_seeds: int) -> list[Artist]:
    several = [Patch(color=INK, alpha=0.2, lw=0, label=f"lowest to highest of {num_seeds} seeds")]
    return [
        *(Line2D([], [], color=colour, lw=3, label=label(method)) for method, colour in paint.items()),
        *(several if num_seeds > 1 else []),
        Line2D([], [], color=INK, marker="o", ls="", ms=9, label="end of training"),
        Line2D([], [], color=INK, marker="*", ls="", ms=13, label="CE, stopped early"),
    ]
