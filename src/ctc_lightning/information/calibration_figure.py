"""calibration.png: estimate against truth, a panel for each distribution and number of dimensions."""

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ctc_lightning.analysis.look import INK, SOFT, dress, legend_below
from ctc_lightning.information.estimator_style import colour, in_order, label, marker

WIDTH, HEIGHT = 2.9, 2.7  # of a panel, in inches


def calibration_figure(bias: pd.DataFrame) -> Figure:
    """The mean over seeds of the held-out estimate, bars ± the standard deviation; the diagonal is the truth.

    Dotted: upper bounds. Dashed: the lowest finite ceiling, log N. An arrowhead at the lower or upper edge
    stands for an estimate beyond it. What an estimator refused is not drawn.

    Args:
        bias: as of `ctc_lightning.information.bias.bias_table`.

    Returns:
        A figure outside pyplot's global state.
    """
    of_distribution = {
        str(name): sorted(of["dims"].unique()) for name, of in bias.groupby("distribution", sort=False)
    }
    rows, columns = max(map(len, of_distribution.values())), len(of_distribution)
    size = (max(WIDTH * columns, 6.5), HEIGHT * rows + 1.0)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for column, (name, all_dims) in enumerate(of_distribution.items()):
        for row, axes in enumerate(grid[:, column]):
            if row >= len(all_dims):
                axes.remove()
                continue
            of = bias[(bias["distribution"] == name) & (bias["dims"] == all_dims[row])]
            _panel(axes, of)
            axes.set_title(f"{name.replace('_', ' ')}, {all_dims[row]} dims", color=INK, fontsize=10)
            axes.set_xlabel("truth (nats)" if row == len(all_dims) - 1 else "", color=INK)
            axes.set_ylabel("estimate (nats)" if column == 0 else "", color=INK)
    figure.suptitle("Mutual information that is known, and what estimators say of held-out pairs", color=INK)
    legend_below(figure, _key(bias), size[0])
    return figure


def _panel(axes: Axes, bias: pd.DataFrame) -> None:
    most = bias["information"].max()
    low, high = -0.08 * most, 1.2 * most
    axes.plot([0, most], [0, most], color=SOFT, lw=1.2, zorder=1, label="_truth")
    ceilings = bias.loc[(bias["n"] > 0) & np.isfinite(bias["ceiling"]), "ceiling"]
    if len(ceilings) and ceilings.min() < high:
        axes.axhline(ceilings.min(), color=SOFT, lw=1, ls=(0, (5, 3)), zorder=1, label="_ceiling")
    for estimator in in_order(bias["estimator"]):
        of = bias[(bias["estimator"] == estimator) & (bias["n"] > 0)].sort_values("information")
        if of.empty:
            continue
        paint = colour(estimator)
        axes.errorbar(
            of["information"], of["value_mean"], of["bias_std"].fillna(0), color=paint, lw=1.4, elinewidth=1,
            marker=marker(estimator), ms=4.5, mec="w", mew=0.4, label=estimator, zorder=3,
        )  # fmt: skip
        upper = of["upper_bias_mean"] + of["information"]
        if upper.notna().any():
            axes.plot(of["information"], upper, color=paint, lw=1.4, ls=":", zorder=2, label="_upper")
        for edge, beyond, head in ((low, of["value_mean"] < low, "v"), (high, of["value_mean"] > high, "^")):
            if beyond.any():
                axes.plot(
                    of.loc[beyond, "information"], [edge] * int(beyond.sum()), head, color=paint, ms=7,
                    clip_on=False, zorder=4, label="_beyond",
                )  # fmt: skip
    axes.set_ylim(low, high)
    axes.set_xlim(-0.03 * most, 1.05 * most)
    dress(axes)


def _key(bias: pd.DataFrame) -> list[Artist]:
    shown = in_order(bias.loc[bias["n"] > 0, "estimator"])
    estimators = [
        Line2D([], [], color=colour(e), marker=marker(e), ms=7, mec="w", lw=2, label=label(e)) for e in shown
    ]
    if bias["upper_bias_mean"].notna().any():
        estimators.append(Line2D([], [], color=INK, lw=1.4, ls=":", label="upper bound"))
    return [
        *estimators,
        Line2D([], [], color=SOFT, lw=1.2, label="truth"),
        Line2D([], [], color=SOFT, lw=1, ls=(0, (5, 3)), label="lowest ceiling, log N"),
    ]
