"""Finished runs as one tidy frame: find their directories, read them, check them."""

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ctc_lightning.analysis.variants import variants
from ctc_lightning.results import Row

log = logging.getLogger(__name__)

TEXT = ("run", "method", "protocol", "target", "metric")
DTYPES = dict.fromkeys(TEXT, "str") | {"seed": "int64", "epoch": "int64", "step": "int64", "value": "float64"}
LATER: dict[str, Any] = Row._field_defaults  # columns that older files lack
LATER_DTYPES = {
    name: {int: "int64", float: "float64"}.get(type(value), "str") for name, value in LATER.items()
}
METRICS = ("top1", "mean_per_class", "map_11_point")
ACCURACIES = (*METRICS, *(f"val_{metric}" for metric in METRICS))
PLAIN = ""  # the data set of a backbone that no run here has trained
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it was compiled


def load_runs(paths: str | Path | Iterable[str | Path]) -> pd.DataFrame:
    """Every run under the given paths, one row for each measured number and each failure.

    Args:
        paths: one path or several: run directories, sweep folders, any folder above them. A run is a
            directory with a ``results.csv``; the search is recursive, a run found twice counts once, and the
            ``results.csv`` that a report wrote is none.

    Returns:
        The columns of ``results.csv`` (see `ctc_lightning.results.Row`; those that an older file lacks have
        their defaults), then ``data`` (``data.name`` of config.yaml; "" for a plain backbone, where that is
        null), ``path`` (the run's directory), ``variant`` (see `ctc_lightning.analysis.variants`) and
        ``plain`` (whether it is a plain backbone). Accuracies are fractions in [0, 1]; the ``value`` of a row
        with the metric ``failed`` is NaN. Where a resumed run measured the same number twice, the later one
        stands.

    Raises:
        ValueError: a path is missing or holds no run, or none of the runs can be read. A broken run among
            good ones is left out with a logged warning.
    """
    paths = [paths] if isinstance(paths, str | Path) else paths
    folders = dict.fromkeys(folder for path in paths for folder in run_folders(Path(path)))
    frames, problems, configs = [], [], {}
    for folder in folders:
        try:
            frame = _read_run(folder)
            config = _read_config(folder / "config.yaml")
        except ValueError as problem:
            problems.append(str(problem))
            continue
        data = config["data"]["name"]
        data = PLAIN if data is None else str(data)
        frames.append(frame.assign(data=data, path=str(folder)))
        configs[str(folder)] = (data, str(frame["method"].iloc[0]), int(frame["seed"].iloc[0]), config)
    if not frames:
        raise ValueError(
            problems[0] if problems else "no path given: name a run directory or a folder of runs"
        )
    for reason in problems:
        log.warning("left out: %s", reason)
    runs = pd.concat(frames, ignore_index=True)
    return runs.assign(variant=runs["path"].map(variants(configs)), plain=runs["data"] == PLAIN)


def read_provenance(folder: str | Path) -> dict[str, Any]:
    """The run's provenance.json (versions, commit, hardware, seconds …); empty where missing or broken."""
    try:
        provenance = json.loads((Path(folder) / "provenance.json").read_text())
    except (OSError, ValueError):
        return {}
    return provenance if isinstance(provenance, dict) else {}


def run_folders(path: Path) -> list[Path]:
    """The run directories at or below a path.

    Raises:
        ValueError: there is none.
    """
    if not path.is_dir():
        fault = "is a file" if path.exists() else "does not exist"
        raise ValueError(f"{path} {fault}: give a run directory or a folder of runs")
    files = (file for file in path.rglob("results.csv") if not is_of_a_report(file))
    folders = sorted(file.parent.resolve() for file in files)
    if not folders:
        raise ValueError(f"{path} holds no run: no results.csv in it or below it")
    return folders


def is_of_a_report(file: Path) -> bool:
    """Whether the table holds the rows of many runs: it says of each row where it came from."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        return {"data", "path"} <= set(lines.readline().strip().split(","))


def _read_run(folder: Path) -> pd.DataFrame:
    file = folder / "results.csv"
    try:
        frame = pd.read_csv(file, dtype=DTYPES | LATER_DTYPES)
    except ValueError as problem:
        raise ValueError(f"{file} is not a table of results: {problem}") from problem
    if missing := [column for column in DTYPES if column not in frame]:
        raise ValueError(f"{file} lacks the column{'s'[: len(missing) > 1]} {', '.join(missing)}")
    if frame.empty:
        raise ValueError(f"{file} has a header but no rows")
    if (incomplete := frame[list(TEXT)].isna().any(axis=1)).any():
        raise ValueError(f"{file} has an incomplete row, number {incomplete.argmax() + 1} below the header")
    accuracy = frame.loc[frame["metric"].isin(ACCURACIES), ["metric", "value"]]
    if not (fair := accuracy["value"].between(0, 1)).all():
        metric, wrong = accuracy[~fair].iloc[0]
        raise ValueError(f"{file} has an accuracy of {wrong}; {metric} is a fraction in [0, 1]")
    for column, default in LATER.items():
        filled = frame[column].fillna(default) if column in frame else default
        frame[column] = pd.Series(filled, index=frame.index, dtype=LATER_DTYPES[column])
    measured = ["run", "method", "seed", "epoch", "protocol", "target", "metric"]
    return frame[[*Row._fields]].drop_duplicates(measured, keep="last")


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = yaml.load(file.read_text(), _Loader)  # noqa: S506  # a safe loader
        config["data"]["name"]
    except FileNotFoundError as problem:
        raise ValueError(f"{file} is missing: it names the data set of the results beside it") from problem
    except (yaml.YAMLError, KeyError, TypeError) as problem:
        raise ValueError(
            f"{file} has no data.name: the composed configuration must name its data"
        ) from problem
    return config
