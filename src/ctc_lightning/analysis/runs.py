"""Finished runs as one tidy frame: find their directories, read them, check them."""

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

log = logging.getLogger(__name__)

TEXT = ("run", "method", "protocol", "target", "metric")
DTYPES = dict.fromkeys(TEXT, "str") | {"seed": "int64", "epoch": "int64", "step": "int64", "value": "float64"}
ACCURACIES = ("top1", "val_top1")


def load_runs(paths: str | Path | Iterable[str | Path]) -> pd.DataFrame:
    """Every run under the given paths, one row for each measured number.

    Args:
        paths: one path or several: run directories, sweep folders, any folder above them. A run is a
            directory with a ``results.csv``; the search is recursive, a run found twice counts once.

    Returns:
        The columns of ``results.csv`` (run, method, seed, epoch, step, protocol, target, metric, value),
        then ``data`` (``data.name`` of config.yaml) and ``path`` (the run's directory). ``value`` of the
        metrics ``top1`` (test) and ``val_top1`` (validation) is a fraction in [0, 1]. Where a resumed run
        measured the same number twice, the later one stands.

    Raises:
        ValueError: a path is missing or holds no run, or none of the runs can be read. A broken run among
            good ones is left out with a logged warning.
    """
    paths = [paths] if isinstance(paths, str | Path) else paths
    folders = dict.fromkeys(folder for path in paths for folder in _run_folders(Path(path)))
    frames, problems = [], []
    for folder in folders:
        try:
            frames.append(_read_run(folder))
        except ValueError as problem:
            problems.append(str(problem))
    if not frames:
        raise ValueError(
            problems[0] if problems else "no path given: name a run directory or a folder of runs"
        )
    for reason in problems:
        log.warning("left out: %s", reason)
    return pd.concat(frames, ignore_index=True)


def read_provenance(folder: str | Path) -> dict[str, Any]:
    """The run's provenance.json (versions, commit, hardware, seconds …); empty where missing or broken."""
    try:
        provenance = json.loads((Path(folder) / "provenance.json").read_text())
    except (OSError, ValueError):
        return {}
    return provenance if isinstance(provenance, dict) else {}


def _run_folders(path: Path) -> list[Path]:
    if not path.is_dir():
        fault = "is a file" if path.exists() else "does not exist"
        raise ValueError(f"{path} {fault}: give a run directory or a folder of runs")
    folders = sorted(file.parent.resolve() for file in path.rglob("results.csv"))
    if not folders:
        raise ValueError(f"{path} holds no run: no results.csv in it or below it")
    return folders


def _read_run(folder: Path) -> pd.DataFrame:
    file = folder / "results.csv"
    try:
        frame = pd.read_csv(file, dtype=DTYPES)
    except ValueError as problem:
        raise ValueError(f"{file} is not a table of results: {problem}") from problem
    if missing := [column for column in DTYPES if column not in frame]:
        raise ValueError(f"{file} lacks the column{'s'[: len(missing) > 1]} {', '.join(missing)}")
    if frame.empty:
        raise ValueError(f"{file} has a header but no rows")
    if (incomplete := frame[list(TEXT)].isna().any(axis=1)).any():
        raise ValueError(f"{file} has an incomplete row, number {incomplete.argmax() + 1} below the header")
    accuracy = frame.loc[frame["metric"].isin(ACCURACIES), "value"]
    if not accuracy.between(0, 1).all():
        wrong = accuracy[~accuracy.between(0, 1)].iloc[0]
        raise ValueError(f"{file} has an accuracy of {wrong}; top1 and val_top1 are fractions in [0, 1]")
    measured = ["run", "method", "seed", "epoch", "protocol", "target", "metric"]
    frame = frame[[*DTYPES]].drop_duplicates(measured, keep="last")
    return frame.assign(data=_data_name(folder / "config.yaml"), path=str(folder))


def _data_name(file: Path) -> str:
    try:
        config = yaml.safe_load(file.read_text())
        return str(config["data"]["name"])
    except FileNotFoundError as problem:
        raise ValueError(f"{file} is missing: it names the data set of the results beside it") from problem
    except (yaml.YAMLError, KeyError, TypeError) as problem:
        raise ValueError(
            f"{file} has no data.name: the composed configuration must name its data"
        ) from problem
