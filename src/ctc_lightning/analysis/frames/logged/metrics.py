"""Everything that was logged while training, of many runs, in one tidy frame."""

import logging
from typing import Any

import pandas as pd

from ctc_lightning.analysis.frames.logged.metrics_csv import read_metrics_csv
from ctc_lightning.analysis.frames.logged.sources import Paths, from_server, split, unique_folders

log = logging.getLogger(__name__)


def load_metrics(paths: Paths, *, wandb_api: Any = None) -> pd.DataFrame:
    """Losses, accuracies, learning rates …: one row for each number that a logger was given.

    A run is read from its ``metrics.csv`` and ``config.yaml``. A run that was killed gives what is there; of
    steps that a resumed run logged again the later numbers stand.

    Args:
        paths: one or several: run directories, folders above them, ``wandb:ENTITY/PROJECT`` or
            ``wandb:ENTITY/PROJECT/ID``. A run in W&B's cloud whose directory is among them is read there.
        wandb_api: a ``wandb.Api``; None: one is made where it is needed.

    Returns:
        Columns run, method, seed, path, step (Lightning's: 0 for the first optimizer step), epoch (counted
        from 1, the one in or after which the number was logged; 0: before training; missing where the log
        does not say), name, value; in the order of logging.

    Raises:
        ValueError: a path is missing or holds no log; none of the logs can be read. A broken one among good
            ones is left out with a logged warning.
    """
    local, addresses = split(paths)
    folders = unique_folders(local)
    readers: list[tuple[str, Any]] = [
        (str(folder.path), lambda at=folder.path: read_metrics_csv(at))
        for folder in folders
        if folder.metrics
    ]
    readers += [(run.path, lambda run=run: run) for run in from_server(addresses, folders, wandb_api)]
    frames, problems = [], []
    for path, read in readers:
        try:
            frame = read().frame()
        except ValueError as problem:
            problems.append(str(problem))
            continue
        frame.insert(3, "path", path)
        frames.append(frame)
    if not frames:
        nothing = "no metrics were logged: there is no metrics.csv"
        raise ValueError(problems[0] if problems else nothing)
    for reason in problems:
        log.warning("left out: %s", reason)
    return pd.concat(frames, ignore_index=True)
