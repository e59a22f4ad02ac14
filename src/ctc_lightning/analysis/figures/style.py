"""What all figures share: axes, the legend of methods, labels apart from each other, files that reproduce."""

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO, StringIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from ctc_lightning.analysis.frames.methods import DASHES, OTHERS, label
from ctc_lightning.files.atomic_write import atomic_file, write_text

INK, FAINT, SOFT = "#333333", "#E8E8E8", "#777777"
EPOCH_TICKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
PER_CENT = StrMethodFormatter("{x:g}%")
DPI = 150


def style_axes(axes: Axes, *, grid: str = "both") -> None:
    """Faint grid behind the data, no box."""
    axes.grid(color=FAINT, axis=grid)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)


def epoch_axis(axes: Axes, first: float, last: float) -> None:
    """log(1 + epoch), because the peak comes within a few epochs and epoch 0 belongs to the picture."""
    last = max(last, first + 1)
    axes.set_xscale("function", functions=(np.log1p, np.expm1))
    axes.set_xlim(first, np.expm1(np.log1p(last) + 0.04 * (np.log1p(last) - np.log1p(first))))
    ticks = [epoch for epoch in EPOCH_TICKS if first <= epoch <= last]
    if len(ticks) > 5:
        ticks = [ticks[0], *ticks[:0:-2][::-1]]  # every second one, the last among them
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())


def at_shared_epochs(rows: pd.DataFrame) -> pd.DataFrame:
    """Without the epochs at which not all seeds of a method were measured, as that of its best checkpoint.

    A mean over other seeds at every epoch would jump where nothing happens.

    Args:
        rows: with method, epoch and seed, as columns or as index.
    """
    where = rows.reset_index()
    seeds = where.groupby(["method", "epoch"])["seed"].transform("nunique")
    return rows[(seeds == where.groupby("method")["seed"].transform("nunique")).to_numpy()]


def bands(
    axes: Axes, rows: pd.DataFrame, paint: Mapping[str, str], marks: Mapping[str, str], scale: float = 1
) -> None:
    """Over epochs: methods as the mean over seeds with a band from lowest to highest, others thin and grey.

    Args:
        axes: where to.
        rows: curves of one target, without plain backbones.
        paint: colours of the methods to show.
        marks: their markers, at the end.
        scale: 100 for per cent.
    """
    rows = at_shared_epochs(rows)
    others = rows[~rows["method"].isin(paint)]
    means = others.groupby(["method", "epoch"])["test"].mean().mul(scale).reset_index()
    lines = [line[["epoch", "test"]].to_numpy() for _, line in means.groupby("method")]
    if lines:
        axes.add_collection(LineCollection(lines, colors=OTHERS, linewidths=0.6, zorder=1, label="_others"))
    for place, (method, colour) in enumerate(paint.items()):
        seeds = scale * rows[rows["method"] == method].groupby("epoch")["test"].agg(["mean", "min", "max"])
        axes.fill_between(seeds.index, seeds["min"], seeds["max"], color=colour, alpha=0.18, lw=0)
        axes.plot(
            seeds["mean"], color=colour, lw=2, marker=marks[method], ms=6, mec="w", mew=0.6, markevery=[-1],
            label=label(method), clip_on=False, zorder=4 - place / 100,  # the first in the legend lies on top
        )  # fmt: skip
    axes.autoscale_view()


def backbone_lines(axes: Axes, rows: pd.DataFrame, backbones: Sequence[str], scale: float = 1) -> None:
    """Plain backbones: each a dashed horizontal line."""
    for i, method in enumerate(backbones):
        for height in scale * rows.loc[rows["method"] == method, "test"]:
            axes.axhline(height, color=INK, lw=1.2, ls=DASHES[i % len(DASHES)], zorder=2, label="_backbone")


def legend_handles(
    paint: Mapping[str, str], marks: Mapping[str, str], num_others: int, backbones: Iterable[str]
) -> list[Artist]:
    """One for each method, one for all others, one for each plain backbone."""
    return [
        *(
            Line2D([], [], color=colour, lw=3, marker=marks[method], ms=8, mec="w", label=label(method))
            for method, colour in paint.items()
        ),
        *([Line2D([], [], color=OTHERS, lw=1.5, label=f"{num_others} others")] if num_others else []),
        *(
            Line2D([], [], color=INK, lw=1.2, ls=DASHES[i % len(DASHES)], label=label(method))
            for i, method in enumerate(backbones)
        ),
    ]


def legend_below(part: Figure | SubFigure, handles: list[Artist], inches: float) -> None:
    """The legend under all axes, in as many columns as the width has room for."""
    longest = max(len(line) for handle in handles for line in str(handle.get_label()).splitlines())
    columns = max(1, int(inches / (0.7 + 0.08 * longest)))
    part.legend(
        handles=handles, loc="outside lower center", ncols=min(columns, 4), frameon=False, fontsize=9.5
    )


def spread_out(places: Sequence[float], gap: float) -> np.ndarray:
    """The places moved as little as their order allows, so that neighbours are ``gap`` apart.

    Of sorted x the y that minimise Σ (y − x)² with y_{i+1} − y_i ≥ gap: isotonic regression of x − i·gap.
    """
    order = np.argsort(places, kind="stable")
    steps = gap * np.arange(len(order))
    blocks: list[list[float]] = []
    for place in np.asarray(places, float)[order] - steps:
        blocks.append([place, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (low, few), (high, many) = blocks[-2:]
            blocks[-2:] = [[(low * few + high * many) / (few + many), few + many]]
    moved = np.empty(len(order))
    moved[order] = np.repeat([mean for mean, _ in blocks], [int(size) for _, size in blocks]) + steps
    return moved


def save(figure: Figure, stem: Path) -> list[str]:
    """``stem.png`` and ``stem.svg``, with the same bytes each time; returns the names."""
    png = BytesIO()
    figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    with atomic_file(stem.with_name(f"{stem.name}.png")) as beside:
        beside.write_bytes(png.getvalue())
    write_text(stem.with_name(f"{stem.name}.svg"), svg(figure, stem.name))
    return [f"{stem.name}.png", f"{stem.name}.svg"]


def svg(figure: Figure, name: str) -> str:
    """The figure as SVG: text stays text, ids depend on the name alone, no date."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "path.simplify": True}):
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()
