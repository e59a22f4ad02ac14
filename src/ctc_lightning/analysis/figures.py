"""trade_off: accuracy over epochs for source and targets, and the plane of the one against the other."""

from math import ceil, sqrt
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

from ctc_lightning.analysis.comparable import common_targets, no_plane
from ctc_lightning.analysis.highlight import backbones, highlighted
from ctc_lightning.analysis.look import (
    INK,
    PER_CENT,
    backbone_lines,
    bands,
    dress,
    epoch_axis,
    legend_handles,
    spread_out,
)
from ctc_lightning.analysis.methods import OTHERS, colours, is_baseline, label, markers, target_label
from ctc_lightning.analysis.trade_off import CLASSIFIER, SOURCE, curves, early_stopping, headline, summary

SOURCE_TICKS = (0, 25, 50, 75, 90, 95, 98, 99, 99.5, 100)


def trade_off_figure(frame: pd.DataFrame, protocol: str | None = None) -> Figure:
    """One data set's picture: on the left accuracy over epochs, on the right source against transfer.

    Lines are means over seeds, bands run from the lowest seed to the highest. In the plane, with the mean over
    the targets that all methods share as its height, a method's path runs with time to its mark, its seeds'
    ends are small dots, and a star marks where cross-entropy would have stopped by the targets' validation
    accuracy. Of more methods than colours the best are in colour and the others grey; plain backbones are
    dashed lines. Without a common epoch of source and targets there is no right half: see `no_plane`.

    Args:
        frame: comparable runs of one data set, as of `ctc_lightning.analysis.comparable`.
        protocol: the probe that measures the targets; None: the headline.

    Returns:
        A figure of 14 × 8 inches (more for more than 8 targets) outside pyplot's global state.
    """
    protocol = protocol or headline(frame)
    measured = curves(frame)
    measured = measured[measured["protocol"].isin([protocol, CLASSIFIER])]
    numbers = summary(frame)
    paint = colours(highlighted(numbers, protocol))
    paint = {method: paint[method] for method in highlighted(numbers, protocol)}
    marks = markers([*paint])
    plain = backbones(numbers[numbers["protocol"] == protocol])
    trained = measured[~measured["plain"]]
    num_others = trained["method"].nunique() - len(paint)

    with_plane = not no_plane(frame)
    named = measured.drop_duplicates("target").set_index("target")["metric"]
    targets = sorted(named.index, key=lambda target: target != SOURCE)  # the source first
    cells = len(targets) + 1  # the last one is for the legend
    columns = 1 if cells == 3 else ceil(sqrt(cells))
    rows = ceil(cells / columns)
    wider = max(columns - 3, 0)
    figure = Figure(
        figsize=(14 + 2.4 * wider if with_plane else 9 + 2.4 * wider, max(8, 2.4 * rows)),
        layout="constrained",
    )
    if with_plane:
        halves = figure.add_gridspec(1, 2, width_ratios=(1.05 + 0.35 * wider, 1))
        left, right = figure.add_subfigure(halves[0]), figure.add_subfigure(halves[1])
    else:
        left = figure.add_subfigure(figure.add_gridspec(1, 1)[0])
    left.suptitle(
        f"{frame['data'].iloc[0]}: test accuracy over epochs ({protocol} probe)", color=INK, fontsize=14
    )
    grid = left.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(targets):
            axes.remove()
            continue
        of_target = trained[trained["target"] == targets[place]]
        bands(axes, of_target, paint, marks, 100)
        backbone_lines(axes, measured[measured["plain"] & (measured["target"] == targets[place])], plain, 100)
        epoch_axis(axes, trained["epoch"].max() if len(trained) else 1)
        axes.yaxis.set_major_formatter(PER_CENT)
        dress(axes)
        axes.set_title(target_label(targets[place], named[targets[place]]), color=INK, fontweight="bold")
        axes.set_xlabel("epoch" if place + columns >= len(targets) else "", color=INK)
        axes.tick_params(labelbottom=place + columns >= len(targets))
    handles = legend_handles(paint, marks, num_others, plain)
    seeds = trained["seed"].nunique()
    several = [Patch(color=INK, alpha=0.2, lw=0, label=f"lowest to highest of {seeds} seeds")]
    handles += several if seeds > 1 else []
    if with_plane:
        handles += [Line2D([], [], color=INK, marker="*", ls="", ms=13, label="CE, stopped early")]
    size = 11 if len(handles) <= 8 and columns < 4 else 9
    left.legend(handles=handles, loc="lower right", frameon=False, fontsize=size)
    if with_plane:
        right.suptitle("where training takes each method", color=INK, fontsize=14)
        shared = common_targets(trained[trained["protocol"] == protocol])
        stopped = early_stopping(frame, protocol).rename(columns={"final": "test"})
        stopped = stopped[stopped["method"].map(is_baseline) & stopped["method"].isin(paint)]
        axes = right.subplots()
        _plane(axes, plane_points(trained, shared), plane_points(stopped, shared), paint, marks)
        _plain_heights(axes, measured[measured["plain"]], shared, plain)
        axes.set_ylabel(_height_label(shared, len(targets) - 1, named), color=INK)
    return figure


def plane_points(measured: pd.DataFrame, targets: list[str]) -> pd.DataFrame:
    """Source and transfer accuracy in per cent, at the epochs at which the source and all targets were measured.

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


def _height_label(shared: list[str], num_targets: int, metrics: pd.Series) -> str:
    over = f"{len(shared)} targets" if len(shared) > 1 else target_label(shared[0], metrics[shared[0]])
    if len(shared) < num_targets:
        over = f"the {over} that all methods share" if len(shared) > 1 else f"{over}, which all methods share"
    return f"transfer accuracy, {'mean over ' if len(shared) > 1 else ''}{over}"


def _plane(
    axes: Axes, points: pd.DataFrame, stopped: pd.DataFrame, paint: dict[str, str], marks: dict[str, str]
) -> None:
    least = points["source"].min() - 2
    # The end of training crowds at 98 to 100%: −log(error + ½ point) gives each halving of it the same room.
    axes.set_xscale("function", functions=(lambda x: -np.log(100.5 - x), lambda x: 100.5 - np.exp(-x)))
    axes.set_xlim(least, 100)
    mean = points.groupby(["method", "epoch"]).mean()
    last = points.reset_index("epoch").groupby("method")["epoch"].max()
    others = [_thinned(of) for method, of in mean.groupby("method") if method not in paint]
    if others:
        axes.add_collection(LineCollection(others, colors=OTHERS, linewidths=0.6, zorder=1, gid="others"))
        axes.scatter(
            *np.array([path[-1] for path in others]).T, 12, color=OTHERS, lw=0, zorder=1, gid="others"
        )
    drawn = [method for method in paint if method in last.index]
    paths = {method: _thinned(mean.loc[[method]]) for method in drawn}
    for place, method in enumerate(drawn):
        path, colour = paths[method], paint[method]
        axes.plot(*path.T, color=colour, lw=2, marker="o", ms=4)
        seeds = points.loc[method].xs(last[method], level="epoch")
        axes.scatter(seeds["source"], seeds["transfer"], 14, color=colour, alpha=0.6, lw=0)
        axes.scatter(*path[-1], 130, color=colour, marker=marks[method], edgecolors="w", zorder=5)
        if method in stopped.index:
            # Two baselines may stop at one point: the later star is smaller, so that both are seen.
            x, y = stopped.loc[method].to_numpy().mean(axis=0)
            axes.scatter(x, y, 600 / (1 + place), marker="*", color=colour, edgecolors="w", zorder=6)
    axes.autoscale_view()
    for method in drawn:
        _arrows(axes, paths[method], paint[method])
    start = mean.groupby("epoch").mean().iloc[0]
    axes.annotate(f"epoch {start.name}", tuple(start), (8, -4), textcoords="offset points", color=INK)
    low, high = axes.get_ylim()
    names = {method: fill(label(method), 22) for method in drawn}
    lines = max(name.count("\n") + 1 for name in names.values())
    ends = spread_out([path[-1, 1] for path in paths.values()], lines * (high - low) / 40)
    for (method, path), height in zip(paths.items(), ends, strict=True):
        axes.annotate(
            names[method], path[-1], (1.03, height), textcoords=("axes fraction", "data"), color=paint[method],
            fontsize=9.5, va="center", annotation_clip=False, gid="name",
            arrowprops={"arrowstyle": "-", "color": paint[method], "lw": 0.7, "alpha": 0.5, "shrinkB": 6},
        )  # fmt: skip
    axes.xaxis.set_major_locator(FixedLocator(_apart(axes, [tick for tick in SOURCE_TICKS if tick >= least])))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(PER_CENT)
    axes.yaxis.set_major_formatter(PER_CENT)
    dress(axes)
    axes.set_xlabel("source accuracy (stretched towards 100%)", color=INK)


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


def _plain_heights(axes: Axes, measured: pd.DataFrame, targets: list[str], backbones: list[str]) -> None:
    """Backbones that were measured on all the targets: they have a height, but no source accuracy."""
    of_all = measured[measured["target"].isin(targets)].groupby("method")["test"].agg(["mean", "size"])
    heights = of_all.loc[of_all["size"] == len(targets), "mean"].rename("test").reset_index()
    backbone_lines(axes, heights, backbones, 100)
