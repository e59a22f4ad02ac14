"""best_against_last: transfer at the best epoch against transfer at the last one."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctc_lightning.analysis.figures.highlight import highlighted
from ctc_lightning.analysis.figures.report_part import ReportPart, is_trained
from ctc_lightning.analysis.figures.style import INK, PER_CENT, SOFT, legend_handles, style_axes
from ctc_lightning.analysis.frames.methods import OTHERS, colours, markers
from ctc_lightning.analysis.frames.trade_off import SOURCE, headline, summary

NAMED = 0.05  # of the loss: from five points on, a point's target is written beside it


def best_against_last_figure(frame: pd.DataFrame, protocol: str | None = None) -> Figure:
    """A point for each method and target: test accuracy at the best validation epoch, and at the last.

    On the diagonal nothing is lost, below it the vertical distance is the drop. Bars are standard deviations
    over seeds.

    Args:
        frame: comparable runs of one data set.
        protocol: the probe; None: the headline.
    """
    protocol = protocol or headline(frame)
    numbers = summary(frame)
    shown = highlighted(numbers, protocol)
    paint, marks = colours(shown), markers(shown)
    paint = {method: paint[method] for method in shown}
    points = numbers[
        (numbers["protocol"] == protocol) & (numbers["target"] != SOURCE) & numbers["peak_mean"].notna()
    ]
    figure = Figure(figsize=(8.5, 8.5), layout="constrained")
    axes = figure.subplots()
    grey = points[~points["method"].isin(shown)]
    axes.scatter(100 * grey["peak_mean"], 100 * grey["final_mean"], 10, color=OTHERS, lw=0, label="_others")
    for method, colour in paint.items():
        of = points[points["method"] == method]
        axes.errorbar(
            100 * of["peak_mean"], 100 * of["final_mean"],
            xerr=100 * of["peak_std"].fillna(0), yerr=100 * of["final_std"].fillna(0),
            fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.5,
        )  # fmt: skip
        axes.scatter(
            100 * of["peak_mean"], 100 * of["final_mean"], 80, color=colour, marker=marks[method],
            edgecolors="w", lw=0.7, zorder=3,
        )  # fmt: skip
    low = min(points[["peak_mean", "final_mean"]].min().min() * 100 - 4, 96)
    axes.plot([low, 101], [low, 101], color=SOFT, lw=1, zorder=1, label="_diagonal")
    axes.set_xlim(low, 101)
    axes.set_ylim(low, 101)
    axes.set_aspect("equal")
    axes.annotate(
        "nothing lost", (low + 3, low + 3), (-4, 4), textcoords="offset points", color=SOFT, rotation=45,
        rotation_mode="anchor",
    )  # fmt: skip
    _name_losses(axes, points[points["method"].isin(shown)], paint)
    axes.xaxis.set_major_formatter(PER_CENT)
    axes.yaxis.set_major_formatter(PER_CENT)
    style_axes(axes)
    axes.set_xlabel("transfer accuracy at the best epoch (chosen on validation)", color=INK)
    axes.set_ylabel("transfer accuracy at the last epoch", color=INK)
    axes.set_title(
        f"{frame['data'].iloc[0]}: best epoch against last, a point for each target ({protocol} probe)",
        color=INK, fontsize=12,
    )  # fmt: skip
    handles = legend_handles(paint, marks, grey["method"].nunique(), [])
    axes.legend(handles=handles, loc="upper left", frameon=False, fontsize=10)
    return figure


def _name_losses(axes: Axes, points: pd.DataFrame, paint: dict[str, str]) -> None:
    """The target beside each point that lost, where no earlier name is too near."""
    lost = points[points["drop_mean"] >= NAMED].sort_values("drop_mean", ascending=False)
    taken: list[np.ndarray] = []
    left, right = axes.get_xlim()
    span = right - left
    for row in lost.itertuples():
        at = 100 * np.array([row.peak_mean, row.final_mean])
        if any(abs(at[0] - x) < 0.13 * span and abs(at[1] - y) < 0.026 * span for x, y in taken):
            continue
        taken.append(at)
        side = -1 if at[0] > right - 0.15 * span else 1  # away from the diagonal, unless the frame is near
        axes.annotate(
            str(row.target), tuple(at), (8 * side, -1),
            textcoords="offset points", color=paint[str(row.method)], fontsize=9,
            ha="left" if side > 0 else "right", va="center", label="_name",
        )  # fmt: skip


BEST_AGAINST_LAST = ReportPart(
    "best_against_last",
    "Best epoch against last epoch",
    best_against_last_figure,
    "Each point is a method on a target. On the diagonal the last epoch is as good as the best one; the "
    "further below it, the more was lost by training on.",
    when=is_trained,
)
