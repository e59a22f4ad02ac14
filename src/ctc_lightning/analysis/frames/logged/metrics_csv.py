"""Runs from ``metrics.csv`` and the ``config.yaml`` beside it."""

import csv
from pathlib import Path

from ctc_lightning.analysis.frames.logged.config import read_config
from ctc_lightning.analysis.frames.logged.run import Call, LoggedRun


def read_metrics_csv(folder: Path) -> LoggedRun:
    """A row of the file is one call of the logger; a line that a kill cut off is left out.

    Raises:
        ValueError: the file is no such table; ``config.yaml`` is missing or does not name its data.
    """
    file = folder / "metrics.csv"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = csv.DictReader(line for line in lines if line.endswith("\n"))
    try:
        calls = [
            Call(int(row["step"]), {k: float(v) for k, v in row.items() if v and k != "step"}) for row in rows
        ]
    except (KeyError, TypeError, ValueError) as problem:
        raise ValueError(f"{file} is not a table of logged metrics: {problem!r}") from problem
    return LoggedRun(str(folder), read_config(folder / "config.yaml"), calls)
