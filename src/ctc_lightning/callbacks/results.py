"""The tidy table of a run: ``results.csv``."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path

COLUMNS = ("run", "method", "seed", "epoch", "step", "protocol", "target", "metric", "value")


class ResultsTable:
    """Rows (run, method, seed, epoch, step, protocol, target, metric, value), one value each.

    The file is replaced as a whole (write beside it, then rename), so that a killed process leaves either
    the old table or the new one.

    Args:
        path: of the CSV file.
        run: the run's name.
        method: the method's name.
        seed: the run's seed.
    """

    def __init__(self, path: Path, run: str, method: str, seed: int) -> None:
        self.path = path
        self.fixed = (run, method, seed)
        self.label = f"{method}, seed {seed}"

    def rows(self) -> list[list[str]]:
        """What the file holds, as text."""
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return list(csv.reader(file))[1:]

    def append(self, epoch: int, step: int, rows: Iterable[tuple[str, str, str, float]]) -> None:
        """Add rows of (protocol, target, metric, value) measured after ``epoch`` finished epochs."""
        self._write([*self.rows(), *((*self.fixed, epoch, step, *row) for row in rows)])

    def keep_epochs_up_to(self, epoch: int) -> None:
        """Drop rows of later epochs: a resumed run will measure them again."""
        if self.path.exists():
            self._write(row for row in self.rows() if int(row[3]) <= epoch)

    def _write(self, rows: Iterable[Iterable[object]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".tmp")
        with beside.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(rows)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)
