"""A sweep in pictures: heat maps of both axes over two settings, and the plane with its Pareto front."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.typing import ColorType

from ctc_lightning.analysis.figures.report_part import ReportPart
from ctc_lightning.analysis.figures.style import INK, PER_CENT, SOFT, style_axes
from ctc_lightning.analysis.frames.methods import MARKERS, colours, label
from ctc_lightning.analysis.frames.sweep import SWEPT, grid_tables, grids_without_table

AXES = {"source": "source accuracy", "transfer": "transfer accuracy, mean over targets"}
_MAP = "cividis"  # its lightness rises evenly, for every kind of sight and in print
_LIGHT = 0.55  # of the colour map, above which black is read better than white


def heat_maps_figure(table: pd.DataFrame, settings: Sequence[str] = SWEPT) -> Figure:
    """Source accuracy on the left, transfer on the right: a cell for each pair of values, in per cent.

    In a cell stand the mean and the standard deviation over seeds. Each map has its own colours, from its
    lowest cell to its highest; cells on the Pareto front have a frame; a pair that was not run is white.

    Args:
        table: of `ctc_lightning.analysis.sweep_table`; rows without both settings are left out.
        settings: the rows, then the columns.

    Raises:
        ValueError: not two settings; two methods with the same pair of values.
    """
    if len(settings) != 2:
        raise ValueError(f"a heat map has 2 settings, not {len(settings)}: name the rows, then the columns")
    swept = table.dropna(subset=list(settings))
    twice = swept.duplicated(list(settings), keep=False)
    if twice.any():
        one, other, *_ = swept.loc[twice, "method"]
        raise ValueError(
            f"{one} and {other} have the same {' and '.join(map(_short, settings))}: give the runs of one "
            "sweep only"
        )
    cells = swept.set_index(list(settings)).sort_index()
    figure = Figure(figsize=(11, 1.8 + 0.8 * cells.index.get_level_values(0).nunique()), layout="constrained")
    for axes, (axis, name) in zip(figure.subplots(1, 2), AXES.items(), strict=True):
        _draw_map(axes, cells, axis)
        axes.set_title(name, color=INK, fontsize=12)
        axes.set_ylabel(_short(settings[0]), color=INK)
        axes.set_xlabel(_short(settings[1]), color=INK)
    return figure


def _draw_map(axes: Axes, cells: pd.DataFrame, axis: str) -> None:
    mean, std = (100 * cells[f"{axis}_{statistic}"].unstack() for statistic in ("mean", "std"))
    front = cells["front"].unstack(fill_value=False)
    image = axes.imshow(mean, cmap=_MAP, aspect="auto", origin="lower")
    axes.set_yticks(range(len(mean.index)), [_text(value) for value in mean.index])
    axes.set_xticks(range(len(mean.columns)), [_text(value) for value in mean.columns])
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    spreads, light = std.to_numpy(float), np.asarray(image.norm(mean.to_numpy(float)))
    for (row, column), value in np.ndenumerate(mean.to_numpy(float)):
        if np.isnan(value):
            continue
        spread = spreads[row, column]
        text = f"{value:.1f}" if np.isnan(spread) else f"{value:.1f} ± {spread:.1f}"
        ink = "black" if light[row, column] > _LIGHT else "white"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=11)
        if front.iloc[row, column]:
            axes.add_patch(Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, fill=False, ec="#D55E00", lw=3))


def pareto_figure(table: pd.DataFrame, settings: Sequence[str] = SWEPT) -> Figure:
    """Source against transfer accuracy, a point for each method, a line through those on the Pareto front.

    Colour tells the first setting, shape the second, bars are standard deviations over seeds. A method
    without these settings, as cross-entropy, has its own colour, a star and its name.

    Args:
        table: of `ctc_lightning.analysis.sweep_table`.
        settings: two of its settings.
    """
    first, second = settings
    swept = table[table[[first, second]].notna().all(axis=1)]
    others = table.drop(swept.index)
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    axes = figure.subplots()
    front = table[table["front"]].sort_values("source_mean")
    axes.plot(
        100 * front["source_mean"], 100 * front["transfer_mean"], color=SOFT, lw=1.5, ls="--", zorder=1,
        label="Pareto front",
    )  # fmt: skip
    values = sorted(swept[first].unique())
    shades = mpl.colormaps["viridis"](np.linspace(0, 0.9, len(values)))
    shapes = {value: MARKERS[i % len(MARKERS)] for i, value in enumerate(sorted(swept[second].unique()))}
    for value, shade in zip(values, shades, strict=True):
        for row in swept[swept[first] == value].to_dict("records"):
            _point(axes, row, shade, shapes[row[second]], 90)
    paint = colours(table["method"])
    for row in others.to_dict("records"):
        _point(axes, row, paint[row["method"]], "*", 260)
        at = 100 * row["source_mean"], 100 * row["transfer_mean"]
        axes.annotate(label(row["method"]), at, (9, -12), textcoords="offset points", color=INK, fontsize=9)
    for value, shade in zip(values, shades, strict=True):
        axes.plot([], [], color=shade, lw=6, label=f"{_short(first)} {_text(value)}")
    for value, shape in shapes.items():
        axes.plot([], [], color=SOFT, marker=shape, ls="", ms=8, label=f"{_short(second)} {_text(value)}")
    axes.xaxis.set_major_formatter(PER_CENT)
    axes.yaxis.set_major_formatter(PER_CENT)
    axes.margins(0.08)
    style_axes(axes)
    axes.set_xlabel(AXES["source"], color=INK)
    axes.set_ylabel(AXES["transfer"], color=INK)
    figure.legend(loc="outside right center", frameon=False)
    return figure


def _point(axes: Axes, row: Mapping[Any, Any], colour: ColorType, shape: str, size: float) -> None:
    at = 100 * row["source_mean"], 100 * row["transfer_mean"]
    bars = {"xerr": 100 * np.nan_to_num(row["source_std"]), "yerr": 100 * np.nan_to_num(row["transfer_std"])}
    axes.errorbar(*at, **bars, fmt="none", ecolor=colour, elinewidth=0.9, alpha=0.5, zorder=2)
    axes.scatter(*at, size, color=colour, marker=shape, edgecolors="w", lw=0.8, zorder=3)


def _short(setting: str) -> str:
    """``queue size`` of ``model.queue_size``."""
    return setting.rpartition(".")[2].replace("_", " ")


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def sweep_markdown(table: pd.DataFrame) -> str:
    """Best source accuracy first; bold: on the Pareto front.

    Args:
        table: of `ctc_lightning.analysis.sweep_table`.
    """
    lines = ["|  | source | transfer |", "| --- | --- | --- |"]
    for row in table.sort_values("source_mean", ascending=False, kind="stable").to_dict("records"):
        source, transfer = (
            _percent(row[f"{axis}_mean"], row[f"{axis}_std"]) for axis in ("source", "transfer")
        )
        name = label(str(row["method"]))
        lines.append(f"| {f'**{name}**' if row['front'] else name} | {source} | {transfer} |")
    return "\n".join(["Bold: on the Pareto front of source accuracy and transfer.", "", *lines])


def _percent(mean: float, std: float) -> str:
    return f"{100 * mean:.1f}" if pd.isna(std) else f"{100 * mean:.1f}±{100 * std:.1f}"


GRID = ReportPart(
    "grid",
    "The grid of the sweep",
    lambda _, grid: heat_maps_figure(*grid),
    "A cell for each pair of values: the mean over seeds at the end of training, on test images. Left source "
    "accuracy, right transfer; each map has its own colours. Framed cells are on the Pareto front: no other "
    "is as good in both and better in one.",
    each=grid_tables,
)
PARETO = ReportPart(
    "pareto",
    "The sweep's Pareto front",
    lambda _, grid: pareto_figure(*grid),
    "A point for each pair of values; up is better transfer, right better source accuracy. The dashed line "
    "joins those that no other beats in both.",
    lambda _, grid: sweep_markdown(grid[0]),
    numbers=lambda _, grid: grid[0],
    csv="sweep.csv",
    each=grid_tables,
    folded_table="The sweep in numbers",
)
NO_GRID = ReportPart(
    "no_grid",
    "Without a grid",
    table=lambda _, reason: f"The grid is left out: {reason}.",
    each=grids_without_table,
)
