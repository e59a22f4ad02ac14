"""What a data set's report says of a sweep over two settings: heat maps, the Pareto front and its table."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ctc_lightning.analysis.figures.captions import READING
from ctc_lightning.analysis.figures.style import save
from ctc_lightning.analysis.figures.sweep import heat_maps_figure, pareto_figure
from ctc_lightning.analysis.frames.logged.config import read_config
from ctc_lightning.analysis.frames.methods import base, is_baseline, label
from ctc_lightning.analysis.frames.sweep import SWEPT, settings_of_runs, sweep_table
from ctc_lightning.analysis.frames.variants import swept
from ctc_lightning.analysis.report.html_of_markdown import html_of_markdown
from ctc_lightning.analysis.report.page import Block, Picture
from ctc_lightning.analysis.report.told import Told

_FILLED = 0.5  # of all pairs of values, below which the runs are no grid


def grid_view(runs: pd.DataFrame, output: Path, suffix: str) -> Told | None:
    """Draw and save each method's grid beside the baselines; None where no method has one.

    Args:
        runs: comparable runs of one data set, with targets.
        output: the folder for the figures.
        suffix: of their names; of several grids also the method.
    """
    trained = runs[~runs["plain"]]
    grids = {method: settings for method in _methods(trained) if (settings := grid_of(trained, method))}
    if not grids:
        return None
    told = Told([], [], [], [], None)
    tables = []
    for method, settings in grids.items():
        end = suffix if len(grids) == 1 else f"_{method}{suffix}"
        try:
            table = sweep_table(_with_baselines(trained, method, settings), settings)
        except ValueError as problem:
            told.terminal.append(f"The grid of {label(method)} is left out: {problem}.")
            told.markdown.append(told.terminal[-1])
            continue
        figures = {"grid": heat_maps_figure(table, settings), "pareto": pareto_figure(table, settings)}
        for name, figure in figures.items():
            stem = f"{name}{end}"
            told.files.extend(save(figure, output / stem))
            heading, reading = READING[name]
            heading += f" ({label(method)})" if len(grids) > 1 else ""
            svg = (output / f"{stem}.svg").read_text(encoding="utf-8")
            told.parts.append(Picture(stem, svg, heading, reading))
            told.markdown.append(f"![{heading}]({stem}.png)")
        text = _markdown(table)
        told.terminal.append(text)
        told.markdown.append(text)
        told.parts.append(
            Block(f"The sweep in numbers ({label(method)})", html_of_markdown(text), folded=True)
        )
        tables.append(table)
    return told._replace(numbers=pd.concat(tables, ignore_index=True) if tables else None)


def grid_of(trained: pd.DataFrame, method: str) -> list[str]:
    """The two settings that a method's runs were swept over; empty where they are not two, or no grid.

    A grid has at least half of the pairs of its values: a job may have failed, or not be over. Values that a
    search drew from an interval are no grid.

    Args:
        trained: runs without plain backbones.
        method: without its variant.
    """
    own = trained[trained["method"].map(base) == method].drop_duplicates("path")
    files = [Path(path) / "config.yaml" for path in own["path"]]
    if own["method"].nunique() < 2 or not all(file.is_file() for file in files):
        return []
    told = swept([read_config(file) for file in files], own["seed"].tolist())
    if len(told) != 2:
        return []
    one, other = told
    if len({*one}) * len({*other}) * _FILLED > len({*zip(one, other, strict=True)}):
        return []
    known = list(SWEPT)
    return sorted(told.values(), key=lambda key: known.index(key) if key in SWEPT else len(known))


def _methods(trained: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(map(base, trained["method"])))


def _with_baselines(trained: pd.DataFrame, method: str, settings: Sequence[str]) -> pd.DataFrame:
    """The runs of the grid, and baselines that have no place in it."""
    own = trained["method"].map(base) == method
    baseline = trained["method"].map(is_baseline) & ~own
    paths = trained.loc[baseline, "path"].unique()
    outside = settings_of_runs(paths, settings).isna().any(axis=1).to_numpy(bool)
    return trained[own | trained["path"].isin(paths[outside])]


def _markdown(table: pd.DataFrame) -> str:
    """Best source accuracy first; bold: on the Pareto front."""
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
