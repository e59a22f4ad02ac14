"""The cells of a calibration, one estimate each, and the file that keeps those that are finished."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from filelock import FileLock


class Key(NamedTuple):
    """Which estimate: of what distribution, by what, with which draws."""

    distribution: str
    dims: int
    information: float
    estimator: str
    seed: int


class Cell(NamedTuple):
    """A finished estimate, or why there is none; the column names of ``cells.csv``. All in nats.

    Attributes:
        distribution: its name in the configuration.
        dims: D.
        information: the truth.
        estimator: its name in the configuration.
        seed: of the draws and of the fit.
        value: on the held-out pairs; NaN: the estimator refused.
        train: on the pairs of the fit; NaN where nothing is fitted.
        upper: an upper bound on the held-out pairs; NaN where there is none.
        ceiling: what ``value`` could not exceed; inf: nothing.
        standard_error: of the truth.
        is_lower_bound: whether the expectation of ``value`` is never above the truth.
        seconds: of the fit and both estimates.
        settings: digest of all that the numbers depend on; a cell of other settings is computed again.
        note: why the estimator refused.
    """

    distribution: str
    dims: int
    information: float
    estimator: str
    seed: int
    value: float
    train: float
    upper: float
    ceiling: float
    standard_error: float
    is_lower_bound: bool
    seconds: float
    settings: str
    note: str = ""

    @property
    def key(self) -> Key:
        """Which estimate it is."""
        return Key(*self[:5])


class CellsFile:
    """Reads and writes one ``cells.csv``.

    Every change holds a lock and replaces the file as a whole (write beside it, then rename): a killed
    process leaves the old file or the new one, and processes that share the work lose none of each other's
    cells.

    Args:
        path: of the CSV file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def cells(self) -> dict[Key, Cell]:
        """What the file holds; nothing if there is none.

        Raises:
            ValueError: the file is no such table.
        """
        if not self.path.exists():
            return {}
        try:
            text = {"distribution": str, "estimator": str, "settings": str, "note": str}
            frame = pd.read_csv(self.path, dtype=text, float_precision="round_trip")[list(Cell._fields)]
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"{self.path} is not a table of calibration cells; move it away, or restore it."
            ) from error
        frame["note"] = frame["note"].fillna("")
        return {cell.key: cell for cell in (Cell(*row) for row in frame.itertuples(index=False, name=None))}

    def put(self, new: Iterable[Cell]) -> None:
        """Add cells; those of the same key that were there before give way."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"):
            cells = self.cells() | {cell.key: cell for cell in new}
            beside = self.path.with_suffix(".tmp")
            with beside.open("w", newline="", encoding="utf-8") as file:
                as_frame(cells.values()).to_csv(file, index=False)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)


def as_frame(cells: Iterable[Cell]) -> pd.DataFrame:
    """One row for each."""
    return pd.DataFrame(list(cells), columns=list(Cell._fields))
