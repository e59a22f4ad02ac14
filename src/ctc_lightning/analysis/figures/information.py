"""information: I(X;T), I(T;Y) and I(T;Z) over epochs."""

from collections.abc import Mapping
from math import ceil
from typing import NamedTuple

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ctc_lightning.analysis.figures.highlight import MOST
from ctc_lightning.analysis.figures.style import (
    INK,
    at_shared_epochs,
    backbone_lines,
    bands,
    epoch_axis,
    legend_below,
    legend_handles,
    style_axes,
)
from ctc_lightning.analysis.frames.information import (
    QUANTITIES,
    UNMEASURED,
    Setting,
    estimators_of,
    information_curves,
    of_setting,
    settings_of,
)
from ctc_lightning.analysis.frames.information_flags import CEILING
from ctc_lightning.analysis.frames.methods import colours, markers, ordered
from ctc_lightning.analysis.frames.trade_off import SOURCE

COLUMNS = 4  # panels beside each other
PANEL = (3.4, 2.5)  # inches


class MethodStyle(NamedTuple):
    """Colours and markers of the methods to show; the plain backbones."""

    paint: dict[str, str]
    marks: dict[str, str]
    backbones: list[str]


def information_figure(runs: pd.DataFrame, shown: Mapping[str, str] | None = None) -> Figure:
    """One data set's curves over epochs: a block of panels for each setting, a panel for each target.

    Lines are means over seeds, bands run from the lowest seed to the highest; of an estimator with an upper
    bound a light area reaches from the estimate to that bound. A hollow mark is an estimate near its
    estimator's ceiling. I(T;Y) of a label Z of the images is I(T;Z).

    Args:
        runs: comparable runs of one data set.
        shown: quantity ("xt" or "ty") -> estimator; None: the headline of each.

    Returns:
        A figure outside pyplot's global state.

    Raises:
        ValueError: nothing was estimated for a run that was trained.
    """
    measured = information_curves(runs)
    if shown is None:
        shown = {quantity: of[0] for quantity in QUANTITIES if (of := estimators_of(measured, quantity))}
    settings = [setting for of in shown.items() for setting in settings_of(measured, *of)]
    blocks = [(setting, of_setting(measured, setting)) for setting in settings]
    trained = pd.concat([measured.head(0), *(rows for _, rows in blocks)])
    backbones = sorted(set(trained.loc[trained["plain"], "method"]))
    trained = trained[~trained["plain"]]
    if trained.empty:
        raise ValueError(UNMEASURED)
    style = MethodStyle(*painted(runs, trained), backbones)
    columns = min(COLUMNS, max(rows["target"].nunique() for _, rows in blocks))
    num_rows = [ceil(rows["target"].nunique() / columns) for _, rows in blocks]
    heights = [PANEL[1] * num + 0.5 for num in num_rows]
    width = max(PANEL[0] * columns, 7)
    figure = Figure(figsize=(width, sum(heights) + 1.3), layout="constrained")
    figure.suptitle(f"{runs['data'].iloc[0]}: information over epochs, in nats", color=INK, fontsize=14)
    parts = figure.subfigures(len(blocks), 1, height_ratios=heights, squeeze=False)[:, 0]
    epochs = trained["epoch"].min(), trained["epoch"].max()
    for part, num, (setting, rows) in zip(parts, num_rows, blocks, strict=True):
        part.suptitle(heading(setting), color=INK, fontsize=12)
        _block(part, rows, style, (num, columns), epochs)
    num_others = trained["method"].nunique() - len(style.paint)
    handles = legend_handles(style.paint, style.marks, num_others, backbones)
    legend_below(figure, [*handles, *_signs(trained, style.paint)], width)
    return figure


def painted(runs: pd.DataFrame, trained: pd.DataFrame) -> tuple[dict[str, str], dict[str, str]]:
    """Colours and markers of the methods to show, as in the figures of accuracy; beyond `MOST` the first.

    Args:
        runs: comparable runs of one data set.
        trained: their curves, without plain backbones.
    """
    everyone = ordered(runs.loc[~runs["plain"], "method"])
    methods = ordered(trained["method"])[:MOST]
    named = everyone if len(everyone) <= MOST else methods
    paint, marks = colours(named), markers(named)
    return {method: paint[method] for method in methods}, {method: marks[method] for method in methods}


def heading(setting: Setting) -> str:
    """The setting's title, which says of I(T;Y) what Y is."""
    return setting.title if setting.quantity == "xt" else f"{setting.title}, Y the label named above a panel"


def _block(
    part: SubFigure,
    rows: pd.DataFrame,
    style: MethodStyle,
    shape: tuple[int, int],
    epochs: tuple[float, float],
) -> None:
    """A panel for each target, the source first."""
    targets = sorted(rows["target"].unique(), key=lambda target: target != SOURCE)
    grid = part.subplots(*shape, sharex=True, sharey=True, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(targets):
            axes.remove()
            continue
        _panel(axes, rows[rows["target"] == targets[place]], style)
        epoch_axis(axes, *epochs)
        style_axes(axes)
        axes.set_title(targets[place], color=INK, fontweight="bold", fontsize=11)
        lowest = place + shape[1] >= len(targets)
        axes.set_xlabel("epoch" if lowest else "", color=INK)
        axes.tick_params(labelbottom=lowest)
        axes.set_ylabel("nats" if place % shape[1] == 0 else "", color=INK)


def _panel(axes: Axes, rows: pd.DataFrame, style: MethodStyle) -> None:
    trained = rows[~rows["plain"]]
    paint = {method: colour for method, colour in style.paint.items() if method in set(trained["method"])}
    means = at_shared_epochs(trained).assign(flagged=lambda of: of["note"].str.contains(CEILING))
    means = means.groupby(["method", "epoch"]).agg(
        value=("value", "mean"), upper=("upper", "mean"), flagged=("flagged", "any")
    )
    bands(axes, trained.rename(columns={"value": "test"}), paint, style.marks)
    for method, colour in paint.items():
        mean = means[means.index.get_level_values("method") == method].droplevel("method")
        if len(bounded := mean.dropna(subset="upper")):
            axes.fill_between(
                bounded.index, bounded["value"], bounded["upper"], color=colour, alpha=0.09, lw=0,
                label="_sandwich",
            )  # fmt: skip
        if len(near := mean[mean["flagged"]]):
            axes.scatter(
                near.index, near["value"], 26, marker=style.marks[method], facecolors="w", edgecolors=colour,
                lw=1.2, zorder=5, clip_on=False, label="_ceiling",
            )  # fmt: skip
    backbone_lines(axes, rows[rows["plain"]].rename(columns={"value": "test"}), style.backbones)
    axes.autoscale_view()


def _signs(trained: pd.DataFrame, paint: Mapping[str, str]) -> list[Artist]:
    """What is drawn beside the methods, as far as there is any."""
    rows = trained[trained["method"].isin(paint)]
    signs: list[Artist] = []
    if (seeds := rows["seed"].nunique()) > 1:
        signs.append(Patch(color=INK, alpha=0.2, lw=0, label=f"range of {seeds} seeds"))
    if rows["upper"].notna().any():
        signs.append(Patch(color=INK, alpha=0.09, lw=0, label="up to the upper bound"))
    if rows["note"].str.contains(CEILING).any():
        hollow = Line2D([], [], color=INK, marker="o", mfc="w", ls="", label="near the estimator's ceiling")
        signs.append(hollow)
    return signs
