"""log_odds: the mean log-odds over targets, over epochs and at the end."""

from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctc_lightning.analysis.figures.highlight import highlighted
from ctc_lightning.analysis.figures.report_part import ReportPart
from ctc_lightning.analysis.figures.style import (
    INK,
    backbone_lines,
    bands,
    epoch_axis,
    legend_below,
    legend_handles,
    style_axes,
)
from ctc_lightning.analysis.frames.comparable import common_targets
from ctc_lightning.analysis.frames.log_odds import log_odds_curves, log_odds_summary
from ctc_lightning.analysis.frames.methods import OTHERS, colours, label, markers
from ctc_lightning.analysis.frames.trade_off import curves, headline, summary


def log_odds_figure(frame: pd.DataFrame, protocol: str | None = None) -> Figure:
    """On the left over epochs, mean and range of the seeds; on the right each method's end, mean ± std.

    Args:
        frame: comparable runs of one data set, with a target that all methods have.
        protocol: the probe; None: the headline.
    """
    protocol = protocol or headline(frame)
    measured = log_odds_curves(frame, protocol)
    shown = [m for m in highlighted(summary(frame), protocol) if m in set(measured["method"])]
    paint = colours(shown)
    paint = {method: paint[method] for method in shown}
    marks = markers(shown)
    trained = measured[~measured["plain"]]
    plain = sorted(set(measured.loc[measured["plain"], "method"]))
    figure = Figure(figsize=(13, 6), layout="constrained")
    over_epochs, ends = figure.subplots(1, 2, width_ratios=(1.2, 1))
    bands(over_epochs, trained, paint, marks)
    backbone_lines(over_epochs, measured[measured["plain"]], plain)
    if len(trained):
        epoch_axis(over_epochs, trained["epoch"].min(), trained["epoch"].max())
    style_axes(over_epochs)
    over_epochs.set_xlabel("epoch", color=INK)
    over_epochs.set_ylabel("mean over targets of ln(p / (1 − p)), nats", color=INK)
    over_epochs.set_title("over epochs", color=INK)
    num_others = trained["method"].nunique() - len(paint)
    legend_below(figure, legend_handles(paint, marks, num_others, plain), 13)
    _ends(ends, log_odds_summary(frame, protocol), paint, marks)
    figure.suptitle(
        f"{frame['data'].iloc[0]}: transfer in log-odds, mean over targets ({protocol} probe)", color=INK,
        fontsize=14,
    )  # fmt: skip
    return figure


def _ends(axes: Axes, numbers: pd.DataFrame, paint: dict[str, str], marks: dict[str, str]) -> None:
    numbers = numbers.sort_values("final_mean", ascending=False, kind="stable")
    named = numbers[numbers["method"].isin(paint) | numbers["plain"]]
    grey = numbers[~numbers["method"].isin(named["method"])]
    for height, (method, mean, std) in enumerate(
        zip(named["method"], named["final_mean"], named["final_std"].fillna(0), strict=True)
    ):
        colour, mark = paint.get(method, INK), marks.get(method, "|")
        axes.errorbar(mean, height, xerr=std, color=colour, lw=2, capsize=3)
        edge = None if mark == "|" else "w"
        axes.scatter(mean, height, 100, color=colour, marker=mark, edgecolors=edge, zorder=3)
        axes.annotate(
            f"{mean:.2f}", (mean, height), (0, 9), textcoords="offset points", ha="center", color=colour,
            fontsize=9,
        )  # fmt: skip
    few = max(len(label(method)) for method in named["method"]) <= 26
    names = [fill(label(method), 26 if few else 40) for method in named["method"]]
    if len(grey):
        axes.scatter(
            grey["final_mean"], np.full(len(grey), len(named)), 60, color=OTHERS, marker="|", label="_others"
        )
        names.append(f"{len(grey)} others")
    axes.set_yticks(range(len(names)), names, fontsize=10 if few else 8)
    axes.set_ylim(len(names) - 0.5, -0.7)
    axes.margins(x=0.1)
    style_axes(axes)
    axes.set_xlabel("nats", color=INK)
    axes.set_title("at the end, mean ± std of the seeds", color=INK)


def log_odds_table(frame: pd.DataFrame, protocol: str, most: int | None = None) -> str:
    """Mean log-odds of each method in Markdown, the best first.

    Args:
        frame: comparable runs of one data set.
        protocol: the probe.
        most: methods to show.
    """
    rows = log_odds_summary(frame, protocol).sort_values("final_mean", ascending=False, kind="stable")
    lines = ["|  | final | peak | drop |", "| --- | --- | --- | --- |"]
    for row in rows.head(most or len(rows)).to_dict("records"):
        cells = (nats(row[f"{name}_mean"], row[f"{name}_std"]) for name in ("final", "peak", "drop"))
        lines.append(f"| {label(str(row['method']))} | {' | '.join(cells)} |")
    return f"**Mean over targets of ln(p / (1 − p)), in nats ({protocol} probe).**\n\n" + "\n".join(lines)


def nats(mean: float, std: float) -> str:
    """``1.95±0.03``, a dash for NaN."""
    if pd.isna(mean):
        return "–"
    return f"{round(mean, 2) + 0.0:.2f}" + ("" if pd.isna(std) else f"±{std:.2f}")


def has_log_odds(runs: pd.DataFrame, protocol: str) -> bool:
    """Whether every method was measured on a common target."""
    measured = curves(runs)
    return bool(common_targets(measured[measured["protocol"] == protocol]))


LOG_ODDS = ReportPart(
    "log_odds",
    "All targets in one number: mean log-odds",
    log_odds_figure,
    "The mean over targets of ln(p / (1 − p)), which is 0 at an accuracy of 50 %; higher is better. Halving "
    "the error counts the same on a target that is nearly solved as on any other.",
    log_odds_table,
    terminal=lambda runs, protocol: log_odds_table(runs, protocol, 10),
    when=has_log_odds,
)
