"""What a search found: a table of its trials, and the Pareto front as a table and as a picture."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ctc_lightning.analysis.figures.style import INK, PER_CENT, SOFT, save, style_axes
from ctc_lightning.analysis.frames.sweep import pareto_front
from ctc_lightning.files.atomic_write import write_text
from ctc_lightning.sweep.study import Trial

log = logging.getLogger(__name__)

NAMES = {"source": "source accuracy", "transfer": "transfer accuracy, mean over targets"}


def write_front(trials: Sequence[Trial], objectives: Sequence[str], folder: Path) -> None:
    """Write ``trials.csv``, ``pareto_front.csv`` and, of two objectives, the picture; tell the front.

    Args:
        trials: of the study.
        objectives: names of their values.
        folder: of the sweep.
    """
    table = trials_table(trials, objectives)
    front = table[table["front"]].drop(columns=["state", "front"])
    front = front.sort_values(list(objectives), ascending=False)
    for name, rows in {"trials.csv": table, "pareto_front.csv": front}.items():
        write_text(folder / name, rows.to_csv(index=False))
    if len(objectives) == 2 and len(front):
        save(front_figure(table, objectives), folder / "pareto_front")
    what = "Pareto front" if len(objectives) > 1 else "Best"
    shown = front.to_string(index=False, float_format="{:.4g}".format) if len(front) else "none finished"
    log.info("\n%s of %d trials, on validation:\n%s\nEverything is in %s", what, len(table), shown, folder)


def trials_table(trials: Sequence[Trial], objectives: Sequence[str]) -> pd.DataFrame:
    """One row for each trial: trial, state, the searched settings, the objectives (NaN: failed) and front."""
    rows = [
        {"trial": trial.number, "state": trial.state.name.lower(), **trial.params}
        | dict(zip(objectives, trial.values or [np.nan] * len(objectives), strict=True))
        for trial in trials
    ]
    table = pd.DataFrame(rows)
    done = table[list(objectives)].notna().all(axis=1)
    front = np.zeros(len(table), bool)
    front[done] = pareto_front(table.loc[done, list(objectives)])
    return table.assign(front=front)


def front_figure(table: pd.DataFrame, objectives: Sequence[str]) -> Figure:
    """The first objective against the second: late trials are darker, those on the front are numbered.

    Args:
        table: of `trials_table`.
        objectives: two.
    """
    done = table.dropna(subset=list(objectives))
    x, y = objectives
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    front = done[done["front"]].sort_values([x, y], ascending=[True, False])
    axes.plot(100 * front[x], 100 * front[y], color=SOFT, lw=1.5, ls="--", zorder=1, label="Pareto front")
    points = axes.scatter(
        100 * done[x], 100 * done[y], 70, c=done["trial"], cmap="viridis_r", edgecolors="w", lw=0.8, zorder=2
    )
    axes.scatter(100 * front[x], 100 * front[y], 150, facecolors="none", edgecolors="#D55E00", lw=2, zorder=3)
    for trial, right, up in zip(front["trial"], 100 * front[x], 100 * front[y], strict=True):
        axes.annotate(str(trial), (right, up), (8, 6), textcoords="offset points", color=INK, fontsize=10)
    figure.colorbar(points, label="trial", ticks=sorted({int(done["trial"].min()), int(done["trial"].max())}))
    axes.xaxis.set_major_formatter(PER_CENT)
    axes.yaxis.set_major_formatter(PER_CENT)
    axes.margins(0.1)
    style_axes(axes)
    axes.set_xlabel(f"{NAMES[x]}, on validation", color=INK)
    axes.set_ylabel(f"{NAMES[y]}, on validation", color=INK)
    axes.legend(frameon=False)
    return figure
