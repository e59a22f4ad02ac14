"""The tidy table of a run, ``results.csv``: one row for each measured number."""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ctc_lightning.files.atomic_write import atomic_file
from ctc_lightning.files.locks import locked


class Row(NamedTuple):
    """One measured number, or one failure; the column names of ``results.csv``.

    Attributes:
        run: the run's name.
        method: the method's name.
        seed: the run's seed.
        epoch: finished epochs, 0 before training; `NO_EPOCH`, an empty cell, for a failure that concerns no
            single one.
        step: finished optimizer steps; likewise.
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
        images: digest of the target's images and labels; "" in older files.
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
    images: str = ""

    @property
    def unit(self) -> tuple[int, str, str]:
        """What is measured at once: (epoch, protocol, target)."""
        return self.epoch, self.protocol, self.target


COLUMNS = Row._fields
FAILED = "failed"
SOURCE = "source"
NO_EPOCH = -1
OPTIONAL = ("epoch", "step")
_SHOWN = 4  # digits of a digest in a target's name
_NEEDED = set(COLUMNS) - set(Row._field_defaults)
_NUMBERS: dict[str, type] = {"seed": int, "epoch": int, "step": int, "n": int}
_NUMBERS |= dict.fromkeys(("value", "low", "high", "seconds"), float)


class ResultsTable:
    """Reads and writes one ``results.csv``.

    Every change holds the lock ``results.csv.lock`` and replaces the file as a whole: processes that share
    the work lose no row of each other's, and a killed one leaves either the old table or the new one.

    No measured row is ever replaced by one of other settings or other images: both stay in the file, and
    `rows` are the current ones.

    Args:
        path: of the CSV file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> list[Row]:
        """The current rows, see `is_current`.

        Raises:
            ValueError: see `all_rows`.
        """
        rows = self.all_rows()
        return [row for row, current in zip(rows, is_current(rows), strict=True) if current]

    def all_rows(self) -> list[Row]:
        """All rows of the file; columns that an older file lacks have their defaults.

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
        """Add rows at the end.

        They replace earlier ones of the same unit, images and settings, and earlier failures of the unit. A
        failure replaces failures alone.
        """
        new = list(rows)
        units = {row.unit for row in new}
        measured = {(row.unit, row.images, row.settings) for row in new if row.metric != FAILED}

        def is_replaced(row: Row) -> bool:
            if row.metric == FAILED:
                return row.unit in units
            return (row.unit, row.images, row.settings) in measured

        self._change(lambda old: [*(row for row in old if not is_replaced(row)), *new])

    def keep(self, wanted: Callable[[Row], bool]) -> None:
        """Drop the rows that are not wanted."""
        if self.path.exists():
            self._change(lambda old: [row for row in old if wanted(row)])

    def _change(self, change: Callable[[list[Row]], Sequence[Row]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(f"{self.path}.lock"):
            rows = change(self.all_rows())
            with atomic_file(self.path) as beside, beside.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(COLUMNS)
                writer.writerows(map(_cells, rows))


def is_current(rows: Sequence[Row]) -> list[bool]:
    """For each row, in the order of the file: whether no later measurement supersedes it.

    Of one epoch, protocol, target and images the settings that were measured last are current; of the source
    likewise, whatever its images. Rows without a digest of their images, as older versions wrote them, are
    superseded by rows that have one. A failure that has settings supersedes the rows of other settings.
    """
    last: dict[tuple[Any, ...], str] = {}
    for row in rows:
        if row.metric != FAILED or row.settings:
            last[_current_key(row)] = row.settings
    with_images = {key[:-1] for key in last if key[-1]}
    return [
        row.metric == FAILED
        or (last[key := _current_key(row)] == row.settings and (key[-1] != "" or key[:-1] not in with_images))
        for row in rows
    ]


def _current_key(row: Row) -> tuple[Any, ...]:
    return *row.unit, "" if row.target == SOURCE else row.images


def target_names(rows: Iterable[Row]) -> dict[tuple[str, str], str]:
    """(target, images) to the name in tables: ``digits [1a2b]`` where one table has two sets of images by it.

    Args:
        rows: current ones, of one table.
    """
    images: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        images[row.target].add(row.images)
    return {
        (target, digest): name_of_images(target, digest) if len(of - {""}) > 1 else target
        for target, of in images.items()
        for digest in of
    }


def name_of_images(target: str, images: str) -> str:
    """``digits [1a2b]``: a target's name with the beginning of the digest of its images, if there is one."""
    return f"{target} [{images[:_SHOWN]}]" if images and target != SOURCE else target


def _cells(row: Row) -> list[object]:
    """What is written: nothing for NaN and for no epoch."""
    cells: list[object] = ["" if cell != cell else cell for cell in row]  # noqa: PLR0124
    if row.epoch == NO_EPOCH:
        cells[COLUMNS.index("epoch")] = ""
    if row.step == NO_EPOCH:
        cells[COLUMNS.index("step")] = ""
    return cells


def _parse(cells: dict[str, str]) -> Row:
    if None in cells.values():
        raise ValueError("a row has fewer cells than there are columns")
    given = {name: cell for name, cell in cells.items() if name in COLUMNS}
    return Row(**{name: _value(name, cell) for name, cell in given.items()})  # type: ignore[arg-type]


def _value(name: str, cell: str) -> object:
    kind = _NUMBERS.get(name, str)
    if cell == "" and (kind is float or name in OPTIONAL):
        return np.nan if kind is float else NO_EPOCH
    return kind(cell)
