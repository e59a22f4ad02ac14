"""Finished runs as one tidy frame: find their directories, read them, check them."""

import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd

from ctc_lightning.analysis.frames.data_sets import data_sets, run_data
from ctc_lightning.analysis.frames.logged.config import read_config
from ctc_lightning.analysis.frames.logged.metrics_csv import read_metrics_csv
from ctc_lightning.analysis.frames.logged.results import results_of
from ctc_lightning.analysis.frames.logged.run import Config, LoggedRun
from ctc_lightning.analysis.frames.logged.sources import Paths, from_server, split, unique_folders
from ctc_lightning.analysis.frames.variants import variants
from ctc_lightning.evaluation.results import ResultsTable, Row, name_of_images

log = logging.getLogger(__name__)

TEXT = ("run", "method", "protocol", "target", "metric")
_WHOLE = ("seed", "epoch", "step", "n")
METRICS = ("top1", "mean_per_class", "map_11_point")
ACCURACIES = (*METRICS, *(f"val_{metric}" for metric in METRICS))
PLAIN = ""  # the data set of a backbone that no run here has trained


def load_runs(paths: Paths, *, wandb_api: Any = None) -> pd.DataFrame:
    """Every run under the given paths, one row for each measured number and each failure.

    A run without a ``results.csv`` is read from what it logged (``metrics.csv``): the test and validation
    values of each target's own metric, without intervals; see `ctc_lightning.analysis.load_metrics` for
    losses and all else.

    Args:
        paths: one path or several: run directories, sweep folders, any folder above them; or
            ``wandb:ENTITY/PROJECT`` or ``wandb:ENTITY/PROJECT/ID`` in W&B's cloud. The search is recursive,
            a run found twice counts once, and the ``results.csv`` that a report wrote is none.
        wandb_api: a ``wandb.Api``; None: one is made where it is needed.

    Returns:
        The columns of ``results.csv`` (see `ctc_lightning.evaluation.results.Row`; those that an older file
        lacks have their defaults; method and seed as config.yaml has them), then ``data`` (see
        `ctc_lightning.analysis.frames.data_sets`; "" for a plain backbone, of which ``data.name`` is null),
        ``path`` (the run's directory, or its W&B address), ``variant`` (see
        `ctc_lightning.analysis.frames.variants`) and ``plain`` (whether it is a plain backbone).
        Accuracies are fractions in [0, 1]; the ``value`` of a row with the metric ``failed`` is NaN, and
        its ``epoch`` is `NO_EPOCH` where it concerns none. Rows that a later measurement supersedes are
        left out (see `ctc_lightning.evaluation.results.is_current`). Where a run measured two sets of
        images by one target's name, the names have the beginning of the images' digest: ``digits [1a2b]``.

    Raises:
        ValueError: a path is missing or holds no run, or none of the runs can be read. A broken run among
            good ones is left out with a logged warning.
    """
    local, addresses = split(paths)
    folders = unique_folders(local)
    readers: list[tuple[str, Any]] = []
    for folder in folders:
        if folder.results:
            readers.append((str(folder.path), lambda at=folder.path: _measured(at)))
        else:
            readers.append((str(folder.path), lambda at=folder.path: _logged(read_metrics_csv(at))))
    readers += [
        (run.path, lambda run=run: _logged(run)) for run in from_server(addresses, folders, wandb_api)
    ]
    read_runs: dict[str, tuple[pd.DataFrame, Config]] = {}
    problems: list[str] = []
    for path, read in readers:
        try:
            read_runs[path] = read()
        except ValueError as problem:
            problems.append(str(problem))
    if not read_runs:
        raise ValueError(
            problems[0] if problems else "no path given: name a run directory or a folder of runs"
        )
    for reason in problems:
        log.warning("left out: %s", reason)
    trained = {path: run_data(config, read_provenance(path)) for path, (_, config) in read_runs.items()}
    data = {
        **dict.fromkeys(read_runs, PLAIN),
        **data_sets({k: run for k, run in trained.items() if run.name}),
    }
    frames, configs = [], {}
    for path, (frame, config) in read_runs.items():
        # The rows of a run that was resumed under another name have both
        method, seed = (config.get(key, frame[key].iloc[-1]) for key in ("method", "seed"))
        frames.append(frame.assign(method=str(method), seed=int(seed), data=data[path], path=path))
        configs[path] = (data[path], str(method), int(seed), config)
    runs = _with_distinct_targets(pd.concat(frames, ignore_index=True))
    return runs.assign(variant=runs["path"].map(variants(configs)), plain=runs["data"] == PLAIN)


def read_provenance(folder: str | Path) -> dict[str, Any]:
    """The run's provenance.json (versions, commit, hardware, seconds …); empty where missing or broken."""
    try:
        provenance = json.loads((Path(folder) / "provenance.json").read_text())
    except (OSError, ValueError):
        return {}
    return provenance if isinstance(provenance, dict) else {}


def _with_distinct_targets(runs: pd.DataFrame) -> pd.DataFrame:
    """Name a target with its images' digest if any of the runs has two sets of images by its name."""
    known = runs[runs["images"] != ""]
    sets = known.groupby(["path", "target"])["images"].nunique()
    ambiguous = runs["target"].isin(set(sets[sets > 1].index.get_level_values("target")))
    if not ambiguous.any():
        return runs
    pairs = zip(runs["target"], runs["images"], ambiguous, strict=True)
    return runs.assign(target=[name_of_images(t, images) if twice else t for t, images, twice in pairs])


def _measured(folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """From ``results.csv``."""
    return _read_run(folder), read_config(folder / "config.yaml")


def _logged(run: LoggedRun) -> tuple[pd.DataFrame, Config]:
    """From what was logged."""
    return _checked(results_of(run), run.path), run.config


def _read_run(folder: Path) -> pd.DataFrame:
    file = folder / "results.csv"
    rows = ResultsTable(file).rows()
    if not rows:
        raise ValueError(f"{file} has a header but no rows")
    frame = pd.DataFrame(rows, columns=[*Row._fields]).astype(dict.fromkeys(_WHOLE, "int64"))
    if (incomplete := (frame[list(TEXT)] == "").any(axis=1)).any():
        raise ValueError(f"{file} has an incomplete row, number {incomplete.argmax() + 1} below the header")
    _checked(frame, str(file))
    measured = ["run", "method", "seed", "epoch", "protocol", "target", "images", "metric"]
    return frame.drop_duplicates(measured, keep="last")


def _checked(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    accuracy = frame.loc[frame["metric"].isin(ACCURACIES), ["metric", "value"]]
    if not (fair := accuracy["value"].between(0, 1)).all():
        metric, wrong = accuracy[~fair].iloc[0]
        raise ValueError(f"{where} has an accuracy of {wrong}; {metric} is a fraction in [0, 1]")
    return frame
