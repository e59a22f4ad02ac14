"""A sweep in numbers: source and transfer accuracy for each choice of the swept settings, and the front.

P: points, A: axes that are better when higher
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from omegaconf import OmegaConf

from ctc_lightning.analysis.frames.comparable import common_targets
from ctc_lightning.analysis.frames.logged.config import read_config
from ctc_lightning.analysis.frames.methods import base, is_baseline
from ctc_lightning.analysis.frames.trade_off import SOURCE, curves, headline, trade_off
from ctc_lightning.analysis.frames.variants import swept

SWEPT = ("model.temperature", "model.queue_size")
_FILLED = 0.5  # of all pairs of values, below which the runs are no grid


def sweep_table(
    frame: pd.DataFrame, settings: Sequence[str] = SWEPT, protocol: str | None = None
) -> pd.DataFrame:
    """Both axes of the trade-off at the end of training, mean and spread over seeds.

        source   = test accuracy of the network's own classifier
        transfer = mean over the targets that all methods share of the probe's test accuracy

    Args:
        frame: comparable runs of one data set, as of `ctc_lightning.analysis.frames.comparable`.
        settings: dotted names in config.yaml. A run without one of them, as cross-entropy, has NaN there.
        protocol: the probe; None: the headline.

    Returns:
        One row for each method (variants of a sweep are methods of their own), ascending by the settings:
        method, a column for each setting, n (seeds), source_mean, source_std, transfer_mean, transfer_std
        (fractions in [0, 1]; ddof = 1, NaN for one seed) and front (see `pareto_front`, of the means).

    Raises:
        ValueError: no run has all settings, or no target was measured for every method.
    """
    trained = frame[~frame["plain"]]
    protocol = protocol or headline(trained)
    measured = curves(trained)
    shared = common_targets(measured[measured["protocol"] == protocol])
    if not shared:
        raise ValueError(
            "no target was measured for every method: run `python -m ctc_lightning.transfer run=RUN_DIR "
            "target=own` on all of them"
        )
    ends = trade_off(trained)
    run = ["method", "seed"]
    source = ends[ends["target"] == SOURCE].set_index(run)["final"]
    probes = ends[(ends["protocol"] == protocol) & ends["target"].isin(shared)]
    of_run = probes.groupby(run)["final"].agg(["mean", "size"])
    transfer = of_run.loc[of_run["size"] == len(shared), "mean"]
    both = pd.concat([source, transfer], axis=1, keys=["source", "transfer"]).dropna()
    table = both.groupby("method").agg(
        n=("source", "size"),
        source_mean=("source", "mean"),
        source_std=("source", "std"),
        transfer_mean=("transfer", "mean"),
        transfer_std=("transfer", "std"),
    )
    where = trained.drop_duplicates("method").set_index("method")["path"]
    values = settings_of_runs(where[table.index], settings).set_axis(table.index)
    if values.notna().all(axis=1).sum() == 0:
        raise ValueError(
            f"no run has {' and '.join(settings)}: train such, for example by `python -m ctc_lightning.train "
            "-m sweep=temperature_queue`"
        )
    table = values.join(table).sort_values(list(settings)).reset_index()
    return table.assign(front=pareto_front(table[["source_mean", "transfer_mean"]]))


def settings_of_runs(paths: Iterable[str | Path], settings: Sequence[str]) -> pd.DataFrame:
    """What each run's config.yaml says: a row for each path, a column for each dotted name; None: nothing."""
    configs = (OmegaConf.load(Path(path) / "config.yaml") for path in paths)
    rows = [[OmegaConf.select(config, name) for name in settings] for config in configs]
    return pd.DataFrame(rows, columns=list(settings)).infer_objects()


def pareto_front(axis_PA: ArrayLike) -> NDArray[np.bool_]:
    """(P,): whether no other point is at least as high on every axis and higher on one.

    Equal points stand on the front together.
    """
    value_PA = np.asarray(axis_PA, float)
    no_lower_PP = (value_PA[:, None] >= value_PA[None]).all(2)  # row: the first is no lower than the second
    higher_PP = (value_PA[:, None] > value_PA[None]).any(2)
    beaten_P: NDArray[np.bool_] = np.asarray((no_lower_PP & higher_PP).any(0))
    return ~beaten_P


def grid_tables(runs: pd.DataFrame) -> dict[str, tuple[pd.DataFrame, list[str]]]:
    """The table and the settings of each method that was swept over two settings, with the baselines.

    Args:
        runs: comparable runs of one data set, with targets.

    Returns:
        By method; by "" if there is one.
    """
    found = {method: grid for method, grid in _grids(runs).items() if not isinstance(grid, str)}
    return {"": next(iter(found.values()))} if len(found) == 1 else found


def grids_without_table(runs: pd.DataFrame) -> dict[str, str]:
    """Methods that were swept over two settings but have no table, and the reason."""
    return {method: reason for method, reason in _grids(runs).items() if isinstance(reason, str)}


def grid_settings(trained: pd.DataFrame, method: str) -> list[str]:
    """The two settings that a method's runs were swept over; empty if they are not two, or no grid.

    A grid has at least half of the pairs of its values: jobs may have failed or still run. Values that a
    search drew from an interval are no grid.

    Args:
        trained: runs without plain backbones.
        method: without its variant.
    """
    own = trained[trained["method"].map(base) == method].drop_duplicates("path")
    files = [Path(path) / "config.yaml" for path in own["path"]]
    if own["method"].nunique() < 2 or not all(file.is_file() for file in files):
        return []
    values = swept([read_config(file) for file in files], own["seed"].tolist())
    if len(values) != 2:
        return []
    one, other = values
    if len({*one}) * len({*other}) * _FILLED > len({*zip(one, other, strict=True)}):
        return []
    known = list(SWEPT)
    return sorted(values.values(), key=lambda key: known.index(key) if key in SWEPT else len(known))


def _grids(runs: pd.DataFrame) -> dict[str, tuple[pd.DataFrame, list[str]] | str]:
    """The table and settings of each method's grid, or the reason why it has no table."""
    trained = runs[~runs["plain"]]
    found: dict[str, tuple[pd.DataFrame, list[str]] | str] = {}
    for method in dict.fromkeys(map(base, trained["method"])):
        if settings := grid_settings(trained, method):
            try:
                found[method] = sweep_table(_with_baselines(trained, method, settings), settings), settings
            except ValueError as problem:
                found[method] = str(problem)
    return found


def _with_baselines(trained: pd.DataFrame, method: str, settings: Sequence[str]) -> pd.DataFrame:
    """The runs of the grid, and baselines that have no place in it."""
    own = trained["method"].map(base) == method
    baseline = trained["method"].map(is_baseline) & ~own
    paths = trained.loc[baseline, "path"].unique()
    outside = settings_of_runs(paths, settings).isna().any(axis=1).to_numpy(bool)
    return trained[own | trained["path"].isin(paths[outside])]
