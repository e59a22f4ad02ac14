"""information_plane: I(X;T) against I(T;Y), with time as colour."""

from dataclasses import replace
from math import ceil
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import FuncNorm, ListedColormap
from matplotlib.figure import Figure

from ctc_lightning.analysis.figures.information import COLUMNS, painted
from ctc_lightning.analysis.figures.report_part import ReportPart
from ctc_lightning.analysis.figures.style import EPOCH_TICKS, INK, at_shared_epochs, style_axes
from ctc_lightning.analysis.frames.information import (
    Setting,
    estimators_of,
    information_curves,
    of_setting,
    settings_of,
)
from ctc_lightning.analysis.frames.methods import OTHERS, label
from ctc_lightning.analysis.frames.trade_off import RUN, SOURCE

NO_PLANE = (
    "information plane: no image set has both I(X;T) and I(T;Y) at one epoch; run "
    "`python -m ctc_lightning.information run=RUN_DIR`, which estimates both."
)
DEFAULT_NOISE = 1.0  # that of conf/information.yaml, the headline where there are several


class Time(NamedTuple):
    """How an epoch is coloured: log(1 + epoch), as on the axes of curves."""

    norm: FuncNorm
    cmap: ListedColormap


def information_plane_figure(runs: pd.DataFrame, xt: Setting | None = None) -> Figure:
    """One data set's planes: right is more information on the image, up on its label; colour is time.

    A panel for each method, a row for each image set that has both. The thick line is the mean over seeds,
    thin ones are the seeds; the large mark is the end. Grey: the other methods' means.

    Args:
        runs: comparable runs of one data set.
        xt: how I(X;T) is estimated; None: see `plane_settings`, the first. I(T;Y) is by its headline.

    Returns:
        A figure outside pyplot's global state.

    Raises:
        ValueError: no image set has both.
    """
    measured = information_curves(runs)
    settings = plane_settings(measured)
    if xt is None and not settings:
        raise ValueError(NO_PLANE)
    setting = xt or settings[0]
    points = plane_points(measured, setting)
    if points.empty:
        raise ValueError(NO_PLANE)
    paint, marks = painted(runs, points)
    targets = sorted(points["target"].unique(), key=lambda target: target != SOURCE)
    columns = min(COLUMNS, len(paint))
    lines = ceil(len(paint) / columns)
    shape = len(targets) * lines, columns
    figure = Figure(figsize=(max(3.2 * columns + 1.6, 7), 2.9 * shape[0] + 1), layout="constrained")
    grid = figure.subplots(*shape, squeeze=False)
    first, last = points["epoch"].min(), points["epoch"].max()
    time = Time(FuncNorm((np.log1p, np.expm1), first, max(last, first + 1)), _colours())
    for number, target in enumerate(targets):
        cells = grid[number * lines : (number + 1) * lines].ravel()
        of = points[points["target"] == target]
        _row(list(cells), of, (paint, marks), time)
        for axes in grid[number * lines : (number + 1) * lines, 0]:
            axes.set_ylabel(f"I(T;Y) on {target}, nats", color=INK)
        for axes in cells[max(len(paint) - columns, 0) : len(paint)]:
            axes.set_xlabel(f"{setting.symbol} on {target}, nats", color=INK)
    ticks = [tick for tick in EPOCH_TICKS if first <= tick < last] + [last]
    panels = list(figure.axes)  # without the cells that are empty
    bar = figure.colorbar(
        ScalarMappable(*time), ax=panels, label="epoch", ticks=ticks, format="%g", aspect=40
    )
    bar.ax.minorticks_off()
    figure.suptitle(f"{runs['data'].iloc[0]}: {setting.title} against I(T;Y)", color=INK, fontsize=14)
    return figure


def plane_settings(measured: pd.DataFrame) -> list[Setting]:
    """The settings of I(X;T)'s headline estimator that make a plane, the noise nearest to the default first.

    Args:
        measured: of `ctc_lightning.analysis.information_curves`.
    """
    estimators = estimators_of(measured, "xt")
    settings = settings_of(measured, "xt", estimators[0]) if estimators else []
    settings = [setting for setting in settings if not plane_points(measured, setting).empty]
    return sorted(settings, key=lambda setting: abs(setting.noise - DEFAULT_NOISE))


def plane_points(measured: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    """Columns data, method, seed, target, epoch, xt, ty, note (of both), where both were estimated.

    Args:
        measured: of `ctc_lightning.analysis.information_curves`; plain backbones have no path.
        setting: of I(X;T).
    """
    trained = measured[~measured["plain"]]
    estimators = estimators_of(trained, "ty")
    if not estimators:
        return trained.head(0)
    labels = of_setting(trained, settings_of(trained, "ty", estimators[0])[0])
    keys = [*RUN, "target", "epoch"]
    xt = of_setting(trained, setting).rename(columns={"value": "xt"})[[*keys, "xt"]]
    return xt.merge(labels.rename(columns={"value": "ty"})[[*keys, "ty"]], on=keys)


def _row(
    cells: list[Axes], points: pd.DataFrame, style: tuple[dict[str, str], dict[str, str]], time: Time
) -> None:
    """The panels of one image set, with common limits."""
    paint, marks = style
    shared = at_shared_epochs(points)
    mean = shared.groupby(["method", "epoch"], sort=True)[["xt", "ty"]].mean()
    low, high = points[["xt", "ty"]].min().to_numpy(), points[["xt", "ty"]].max().to_numpy()
    margin = np.maximum(0.06 * (high - low), 1e-6)
    for axes, method in zip(cells, paint, strict=False):
        others = [path.to_numpy() for name, path in mean.groupby("method") if name != method]
        axes.add_collection(LineCollection(others, colors=OTHERS, linewidths=0.8, zorder=1, label="_others"))
        of = shared[shared["method"] == method]
        for _, seed in of.groupby("seed"):
            _path(axes, seed.set_index("epoch")[["xt", "ty"]].sort_index(), time, width=0.8, label="_seed")
        if method in mean.index:
            path = mean.loc[[method]].droplevel("method")
            _path(axes, path, time, width=3, label="_mean")
            axes.scatter(path["xt"], path["ty"], 18, c=path.index, cmap=time.cmap, norm=time.norm, zorder=4)
            x, y = path.to_numpy()[-1]
            axes.scatter(
                x, y, 110, color=paint[method], marker=marks[method], edgecolors="w", zorder=5,
                label="_end",
            )  # fmt: skip
        axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
        axes.set_ylim(low[1] - margin[1], high[1] + margin[1])
        axes.set_title(label(method), color=paint[method], fontsize=11, fontweight="bold")
        style_axes(axes)
    for axes in cells[len(paint) :]:
        axes.remove()


def _path(axes: Axes, path: pd.DataFrame, time: Time, *, width: float, label: str) -> None:
    """A line whose segments have the colour of their middle in time."""
    points = path.to_numpy()
    segments = np.stack([points[:-1], points[1:]], axis=1)
    middle = np.expm1((np.log1p(path.index[:-1]) + np.log1p(path.index[1:])) / 2)
    line = LineCollection(
        list(segments), array=middle, cmap=time.cmap, norm=time.norm, linewidths=width, zorder=3,
        capstyle="round", label=label, alpha=None if width > 1 else 0.7,
    )  # fmt: skip
    axes.add_collection(line)


def _colours() -> ListedColormap:
    """Viridis, even to the eye and to colour-blind readers, without its end that is too pale on white."""
    return ListedColormap(mpl.colormaps["viridis"](np.linspace(0, 0.92, 256)))


def each_plane(runs: pd.DataFrame) -> dict[str, Setting]:
    """The plane of the first setting."""
    settings = plane_settings(information_curves(runs))
    return {"": settings[0]} if settings else {}


def further_planes(runs: pd.DataFrame) -> dict[str, Setting]:
    """Those of the other settings."""
    settings = plane_settings(information_curves(runs))[1:]
    return {"_".join(filter(None, (of.x, f"{of.noise:g}"))): of for of in settings}


INFORMATION_PLANE = ReportPart(
    "information_plane",
    "Information plane",
    information_plane_figure,
    "A method's path through training, coloured by epoch: right is more information on the image, up is more "
    "on its label; a path that turns left compresses. Thick: mean over seeds; thin: the seeds; large mark: "
    "the end; grey: the other methods.",
    each=each_plane,
    all_runs=True,
)
FURTHER_PLANES = replace(
    INFORMATION_PLANE,
    title=lambda setting: f"Information plane: {setting.title}",
    each=further_planes,
    folded=True,
)
