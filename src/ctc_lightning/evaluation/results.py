"""The tidy table of a run, ``results.csv``: one row for each measured number."""

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock

from ctc_lightning.files.atomic_write import atomic_file


class Row(NamedTuple):
    """One measured number, or one failure; the column names of ``results.csv``.

    Attributes:
        run: the run's name.
        method: the method's name.
        seed: the run's seed.
        epoch: finished epochs, 0 before training.
        step: finished optimizer steps.
        protocol: how it was measured.
        target: on what; ``source``: the task of the training.
        metric: what it is; ``val_`` before a test metric's name: the same on the validation split;
            ``failed``: nothing was measured, ``note`` says why.
        value: accuracies as fractions in [0, 1]; NaN for a failure.
        low: of the 95 % interval; NaN without one.
        high: likewise.
        n: images, or episodes, that it is the mean of; 0: unknown.
        chosen: the hyper-parameters, as ``C=0.1``.
        seconds: that the protocol took on this target, all its metrics together, without the forward pass.
        settings: digest of all that the number depends on; a row of other settings is measured again.
        note: why it failed, or what to know about it.
    """

    run: str
    method: str
    seed: int
    epoch: int
    step: int
    protocol: str
    target: str
    metric: str
    value: float
    low: float = np.nan
    high: float = np.nan
    n: int = 0
    chosen: str = ""
    seconds: float = np.nan
    settings: str = ""
    note: str = ""

    @property
    def unit(self) -> tuple[int, str, str]:
        """What is measured at once: (epoch, protocol, target)."""
        return self.epoch, self.protocol, self.target


COLUMNS = Row._fields
FAILED = "failed"
_NEEDED = set(COLUMNS) - set(Row._field_defaults)
_NUMBERS: dict[str, type] = {"seed": int, "epoch": int, "step": int, "n": int}
_NUMBERS |= dict.fromkeys(("value", "low", "high", "seconds"), float)


class ResultsTable:
    """Reads and writes one ``results.csv``.

    Every change holds the lock ``results.csv.lock`` and replaces the file as a whole: processes that share
    the work lose no row of each other's, and a killed one leaves either the old table or the new one.

    Args:
        path: of the CSV file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> list[Row]:
        """What the file holds; columns that an older file lacks have their defaults.

        Raises:
            ValueError: the file is no such table.
        """
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            try:
                reader = csv.DictReader(file)
                if lacking := _NEEDED - set(reader.fieldnames or ()):
                    raise ValueError(f"it lacks the columns {', '.join(sorted(lacking))}")  # noqa: TRY301
                return [_parse(cells) for cells in reader]
            except (TypeError, ValueError, csv.Error) as error:
                raise ValueError(
                    f"{self.path} is not a table of results ({error}); move it away, or restore it."
                ) from error

    def put(self, rows: Iterable[Row]) -> None:
        """Add rows; those of the same (epoch, protocol, target) that were there before give way."""
        new = list(rows)
        units = {row.unit for row in new}
        self._change(lambda old: [*(row for row in old if row.unit not in units), *new])

    def keep(self, wanted: Callable[[Row], bool]) -> None:
        """Drop the rows that are not wanted."""
        if self.path.exists():
            self._change(lambda old: [row for row in old if wanted(row)])

    def _change(self, change: Callable[[list[Row]], Sequence[Row]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"):
            rows = change(self.rows())
            with atomic_file(self.path) as beside, beside.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(COLUMNS)
                writer.writerows(["" if cell != cell else cell for cell in row] for row in rows)  # noqa: PLR0124


def _parse(cells: dict[str, str]) -> Row:
    if None in cells.values():
        raise ValueError("a row has fewer cells than there are columns")
    given = {name: cell for name, cell in cells.items() if name in COLUMNS}
    return Row(**{name: _value(name, cell) for name, cell in given.items()})  # type: ignore[arg-type]


def _value(name: str, cell: str) -> object:
    kind = _NUMBERS.get(name, str)
    return np.nan if kind is float and cell == "" else kind(cell)
