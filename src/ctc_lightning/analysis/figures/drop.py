"""drop: what each method loses from its best epoch to its last one, target by target."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ctc_lightning.analysis.figures.highlight import highlighted
from ctc_lightning.analysis.figures.report_part import ReportPart, is_trained
from ctc_lightning.analysis.figures.style import INK, legend_below, legend_handles, style_axes
from ctc_lightning.analysis.frames.methods import OTHERS, colours, markers, target_label
from ctc_lightning.analysis.frames.trade_off import SOURCE, headline, summary, trade_off


def drop_figure(frame: pd.DataFrame, protocol: str | None = None) -> Figure:
    """Bars of peak − final in points, a group for each target, the largest loss on top; small dots are seeds.

    Args:
        frame: comparable runs of one data set.
        protocol: the probe; None: the headline.
    """
    protocol = protocol or headline(frame)
    numbers = summary(frame)
    shown = highlighted(numbers, protocol)
    paint, marks = colours(shown), markers(shown)
    paint = {method: paint[method] for method in shown}
    ends = numbers[(numbers["protocol"] == protocol) & (numbers["target"] != SOURCE)]
    ends = ends[ends["drop_mean"].notna()]
    seeds = trade_off(frame)
    seeds = seeds[(seeds["protocol"] == protocol) & (seeds["target"] != SOURCE) & ~seeds["plain"]]
    worst = ends[ends["method"].isin(shown)].groupby("target")["drop_mean"].max()
    targets = list(worst.sort_values(ascending=False, kind="stable").index)
    named = ends.drop_duplicates("target").set_index("target")["metric"]

    others = ends.loc[~ends["method"].isin(shown), "method"].nunique()
    lanes = len(shown) + (others > 0)
    height = 0.8 / lanes
    thickness = 0.22 if lanes <= 6 else 0.15
    figure = Figure(figsize=(11, 2.2 + len(targets) * max(thickness * lanes, 0.5)), layout="constrained")
    axes = figure.subplots()
    for lane, (method, colour) in enumerate(paint.items()):
        of = ends[ends["method"] == method].set_index("target")
        places = np.array([targets.index(target) for target in of.index]) - 0.4 + height * (lane + 0.5)
        axes.barh(places, 100 * of["drop_mean"], 0.86 * height, color=colour, label=method, zorder=2)
        runs = seeds[seeds["method"] == method]
        if runs["seed"].nunique() > 1:
            at = runs["target"].map(dict(zip(of.index, places, strict=True)))
            axes.scatter(
                100 * runs["drop"], at, 9, color="w", edgecolors=INK, lw=0.6, zorder=3, label="_seeds"
            )
    if others:
        rest = ends[~ends["method"].isin(shown) & ends["target"].isin(targets)]
        at = rest["target"].map(targets.index) - 0.4 + height * (lanes - 0.5)
        axes.scatter(
            100 * rest["drop_mean"], at, 26, color=OTHERS, marker="|", lw=0.8, zorder=2, label="_others"
        )
    for line in range(1, len(targets)):
        axes.axhline(line - 0.5, color="#DDDDDD", lw=0.8)
    axes.axvline(0, color=INK, lw=1)
    axes.set_yticks(
        range(len(targets)), [target_label(target, named[target]) for target in targets], fontweight="bold"
    )
    axes.set_ylim(len(targets) - 0.5, -0.5)
    style_axes(axes, grid="x")
    axes.tick_params(axis="y", length=0)
    dots = "; white dots: the seeds" if seeds["seed"].nunique() > 1 else ""
    axes.set_xlabel(
        f"points of accuracy lost from the best epoch to the last (left of 0: gained{dots})", color=INK
    )
    axes.set_title(
        f"{frame['data'].iloc[0]}: drop from peak to end, by target ({protocol} probe)",
        color=INK,
        fontsize=13,
    )
    legend_below(figure, legend_handles(paint, dict.fromkeys(marks, ""), others, []), 11)
    return figure


DROP = ReportPart(
    "drop",
    "Drop from peak to end",
    drop_figure,
    "A bar is the number of points of accuracy lost between the best epoch (chosen on validation) and the "
    "last one; no bar: nothing was lost.",
    when=is_trained,
)
