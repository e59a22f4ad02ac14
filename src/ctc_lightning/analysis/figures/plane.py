"""The plane of source against transfer accuracy: where training takes each method."""

from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import FixedLocator, NullLocator

from ctc_lightning.analysis.figures.style import (
    INK,
    PER_CENT,
    at_shared_epochs,
    backbone_lines,
    spread_out,
    style_axes,
)
from ctc_lightning.analysis.frames.comparable import common_targets
from ctc_lightning.analysis.frames.methods import OTHERS, label, target_label
from ctc_lightning.analysis.frames.trade_off import CLASSIFIER, SOURCE, curves, headline

SOURCE_TICKS = (0, 25, 50, 75, 90, 95, 98, 99, 99.5, 100)


def plane_points(measured: pd.DataFrame, targets: list[str]) -> pd.DataFrame:
    """Source and transfer accuracy in per cent, at the epochs that have the source and all targets.

    Args:
        measured: curves of one data set, of one protocol and the classifier.
        targets: over which transfer is the mean.

    Returns:
        Columns source, transfer; index method, epoch, seed.
    """
    run = ["method", "epoch", "seed"]
    source = 100 * measured[measured["target"] == SOURCE].groupby(run)["test"].mean()
    probes = measured[measured["target"].isin(targets)].groupby(run)["test"].agg(["mean", "size"])
    transfer = 100 * probes.loc[probes["size"] == len(targets), "mean"]
    return pd.concat([source, transfer], axis=1, keys=["source", "transfer"]).dropna().sort_index()


def no_plane(frame: pd.DataFrame, protocol: str | None = None) -> str:
    """Why a data set's plane is left out, and the remedy; "" where it is not.

    Args:
        frame: comparable runs of one data set.
        protocol: the probe; None: the headline.
    """
    if frame["plain"].all():
        return "Plain backbones have no source accuracy, so there is no plane of source against transfer."
    measured = curves(frame)
    measured = measured[
        measured["protocol"].isin([protocol or headline(frame), CLASSIFIER]) & ~measured["plain"]
    ]
    shared = common_targets(measured[measured["protocol"] != CLASSIFIER])
    if not shared:
        return (
            "The plane of source against transfer is left out: no target was measured for every method; "
            "`python -m ctc_lightning.transfer run=RUN_DIR target=…` measures the same one for all."
        )
    if plane_points(measured, shared).empty:
        return (
            "The plane of source against transfer is left out: no epoch has both an accuracy of the "
            "network's own classifier and those of the targets; "
            "`python -m ctc_lightning.transfer run=RUN_DIR target=own` measures both."
        )
    return ""


def height_label(shared: list[str], num_targets: int, metrics: pd.Series) -> str:
    """What the plane's height is the mean of."""
    over = f"{len(shared)} targets" if len(shared) > 1 else target_label(shared[0], metrics[shared[0]])
    if len(shared) < num_targets:
        over = f"the {over} that all methods share" if len(shared) > 1 else f"{over}, which all methods share"
    return f"transfer accuracy, {'mean over ' if len(shared) > 1 else ''}{over}"


def draw_plane(
    axes: Axes, points: pd.DataFrame, stopped: pd.DataFrame, paint: dict[str, str], marks: dict[str, str]
) -> None:
    """Paths with arrows, ends of seeds, stars, and the methods' names at the right edge.

    Args:
        axes: where to.
        points: of `plane_points`.
        stopped: likewise, of cross-entropy stopped early.
        paint: colours of the methods to show; the others are grey.
        marks: their markers.
    """
    least = points["source"].min() - 2
    # The end of training crowds at 98 to 100%: −log(error + ½ point) gives each halving of it the same room.
    axes.set_xscale("function", functions=(lambda x: -np.log(100.5 - x), lambda x: 100.5 - np.exp(-x)))
    axes.set_xlim(least, 100)
    points = at_shared_epochs(points)
    mean = points.groupby(["method", "epoch"]).mean()
    last = points.reset_index("epoch").groupby("method")["epoch"].max()
    others = [_thinned(of) for method, of in mean.groupby("method") if method not in paint]
    if others:
        axes.add_collection(LineCollection(others, colors=OTHERS, linewidths=0.6, zorder=1, label="_others"))
        x, y = np.array([path[-1] for path in others]).T
        axes.scatter(x, y, 12, color=OTHERS, lw=0, zorder=1, label="_others")
    drawn = [method for method in paint if method in last.index]
    paths = {method: _thinned(mean.loc[[method]]) for method in drawn}
    stars = 0
    for method in drawn:
        path, colour = paths[method], paint[method]
        axes.plot(*path.T, color=colour, lw=2, marker="o", ms=4)
        seeds = points.loc[method].xs(last[method], level="epoch")
        axes.scatter(seeds["source"], seeds["transfer"], 14, color=colour, alpha=0.6, lw=0)
        axes.scatter(
            path[-1, 0], path[-1, 1], 130, color=colour, marker=marks[method], edgecolors="w", zorder=5
        )
        if method in stopped.index:
            # Two baselines may stop at one point: the later star is smaller, so that both are seen.
            stars += 1
            x, y = stopped.loc[method].to_numpy().mean(axis=0)
            axes.scatter(x, y, 600 / stars, marker="*", color=colour, edgecolors="w", zorder=6)
    axes.autoscale_view()
    for method in drawn:
        _arrows(axes, paths[method], paint[method])
    start = mean.groupby("epoch").mean().iloc[0]
    axes.annotate(f"epoch {start.name}", tuple(start), (8, -4), textcoords="offset points", color=INK)
    _names(axes, {method: path[-1] for method, path in paths.items()}, paint)
    axes.xaxis.set_major_locator(FixedLocator(_apart(axes, [tick for tick in SOURCE_TICKS if tick >= least])))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(PER_CENT)
    axes.yaxis.set_major_formatter(PER_CENT)
    style_axes(axes)
    axes.set_xlabel("source accuracy (stretched towards 100%)", color=INK)


def _names(axes: Axes, ends: dict[str, np.ndarray], paint: dict[str, str]) -> None:
    """Each method's name at the right edge, near its end; none of them where one is too long."""
    low, high = axes.get_ylim()
    names = {method: fill(label(method), 22) for method in ends}
    lines = max(name.count("\n") + 1 for name in names.values())
    if lines > 2:
        return
    heights = spread_out([end[1] for end in ends.values()], lines * (high - low) / 40)
    for (method, end), height in zip(ends.items(), heights, strict=True):
        axes.annotate(
            names[method], tuple(end), (1.03, height), textcoords=("axes fraction", "data"),
            color=paint[method], fontsize=9.5, va="center", annotation_clip=False, label="_name",
            arrowprops={"arrowstyle": "-", "color": paint[method], "lw": 0.7, "alpha": 0.5, "shrinkB": 6},
        )  # fmt: skip


def _apart(axes: Axes, ticks: list[float]) -> list[float]:
    """The ticks from the right, without those whose label would touch the one before."""
    places = axes.transAxes.inverted().transform(axes.transData.transform([(tick, 0) for tick in ticks]))[
        :, 0
    ]
    kept: list[tuple[float, float]] = []
    for tick, place in zip(reversed(ticks), reversed(places), strict=True):
        if not kept or kept[-1][1] - place > 0.1:
            kept.append((tick, place))
    return [tick for tick, _ in reversed(kept)]


def _thinned(mean: pd.DataFrame) -> np.ndarray:
    """(E, 2) of a dozen epochs, evenly spaced on the left's axis: all would scribble over the corner."""
    epoch = mean.index.get_level_values("epoch")
    wanted = np.expm1(np.linspace(0, np.log1p(epoch[-1]), 12))
    return mean.to_numpy()[np.unique(pd.Index(epoch).get_indexer(pd.Index(wanted), method="nearest"))]


def _arrows(axes: Axes, path: np.ndarray, colour: str) -> None:
    """Heads on the four segments that look longest."""
    drawn = axes.transScale.transform(path) / np.ptp(axes.transScale.transform(axes.viewLim), axis=0)
    longest = np.argsort(np.hypot(*np.diff(drawn, axis=0).T))[-4:]
    for start in longest:
        style = {"arrowstyle": "-|>", "mutation_scale": 18, "color": colour, "lw": 0, "shrinkB": 3}
        axes.annotate("", path[start + 1], path[start], arrowprops=style)


def backbone_heights(axes: Axes, measured: pd.DataFrame, targets: list[str], backbones: list[str]) -> None:
    """Backbones that were measured on all the targets: they have a height, but no source accuracy."""
    of_all = measured[measured["target"].isin(targets)].groupby("method")["test"].agg(["mean", "size"])
    heights = of_all.loc[of_all["size"] == len(targets), "mean"].rename("test").reset_index()
    backbone_lines(axes, heights, backbones, 100)
