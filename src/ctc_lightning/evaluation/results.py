"""The tidy table of a run, ``results.csv``: one row for each measured number."""

import csv
import io
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ctc_lightning.files.atomic_write import append, atomic_file
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
_TYPES: dict[str, type] = dict.fromkeys(COLUMNS, str) | dict.fromkeys(("seed", "epoch", "step", "n"), int)
_TYPES |= dict.fromkeys(("value", "low", "high", "seconds"), float)
_TAIL = 256  # bytes


class ResultsTable:
    """Reads and writes one ``results.csv``.

    `put` appends its rows and an empty line under the lock ``results.csv.lock``: processes that share the
    work lose no row of each other's. Rows that no empty line follows are ignored, so that a writer that is
    killed loses its own rows alone. Rows that a later `put` replaces stay in the file until `compact`.

    No measured row is ever replaced by one of other settings or other images: both stay in the file, and
    `rows` are the current ones.

    Args:
        path: of the CSV file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._current: list[Row] | None = None
        self._forget()

    def rows(self) -> list[Row]:
        """The current rows, see `is_current`.

        Raises:
            ValueError: see `all_rows`.
        """
        rows = self.all_rows()
        if self._current is None:
            self._current = [row for row, kept in zip(rows, is_current(rows), strict=True) if kept]
        return list(self._current)

    def all_rows(self) -> list[Row]:
        """All rows of the file; columns that an older file lacks have their defaults.

        Raises:
            ValueError: the file is no such table.
        """
        self._read()
        return [row for row in self._rows if row is not None]

    def put(self, rows: Iterable[Row]) -> None:
        """Add rows at the end.

        They replace earlier ones of the same unit, images and settings, and earlier failures of the unit. A
        failure replaces failures alone.
        """
        new = list(rows)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(f"{self.path}.lock"):
            self._read()
            if not self._ends_whole:
                self._add(new)
                self._rewrite(row for row in self._rows if row is not None)
            elif new:
                append(self.path, _lines(new))

    def keep(self, wanted: Callable[[Row], bool]) -> None:
        """Drop the rows that are not wanted."""
        if self.path.exists():
            with locked(f"{self.path}.lock"):
                self._rewrite([row for row in self.all_rows() if wanted(row)])

    def compact(self) -> None:
        """Drop the rows that later ones have replaced."""
        self._read()
        if None in self._rows:
            self.keep(lambda _: True)

    def _forget(self) -> None:
        """As if the file had not been read."""
        self._inode, self._end, self._tail = (0, 0), 0, b""  # how far it was read, and the last bytes of that
        self._columns: list[str] = []
        self._rows: list[Row | None] = []  # None: replaced
        self._places: dict[tuple[Any, ...], list[int]] = {}  # among them, of rows that are replaced together
        self._current = None
        self._ends_whole = False  # whether rows can be appended

    def _read(self) -> None:
        """Read what this or another process has added since the last time."""
        if not self.path.exists():
            self._forget()
            return
        with self.path.open("rb") as file:
            status = os.fstat(file.fileno())
            file.seek(self._end - len(self._tail))
            # a new file may have the number of a removed one
            if (status.st_dev, status.st_ino) != self._inode or file.read(len(self._tail)) != self._tail:
                self._forget()
                file.seek(0)
            content = file.read()
        try:
            whole = _whole(content)
            self._ends_whole = whole == len(content) and bool(whole or self._columns)
            if not (whole or self._columns):
                whole = len(content)  # from a version that did not append
            self._parse(content[:whole].decode())
        except (ValueError, csv.Error) as error:
            self._forget()
            raise ValueError(
                f"{self.path} is not a table of results ({error}); move it away, or restore it."
            ) from error
        self._inode = status.st_dev, status.st_ino
        self._end += whole
        self._tail = (self._tail + content[:whole])[-_TAIL:]

    def _parse(self, text: str) -> None:
        reader = csv.reader(io.StringIO(text, newline=""))
        if not self._columns:
            self._columns = next(reader, [])
            if lacking := _NEEDED - set(self._columns):
                raise ValueError(f"it lacks the columns {', '.join(sorted(lacking))}")
        self._ends_whole &= self._columns == list(COLUMNS)
        rows: list[Row] = []
        for cells in reader:
            if cells:
                rows.append(_row(self._columns, cells))
            else:
                self._add(rows)
                rows = []
        self._add(rows)

    def _add(self, rows: Iterable[Row]) -> None:
        rows = list(rows)
        for key in {key for row in rows for key in (_replaced_with(row), (row.unit, FAILED))}:
            for place in self._places.pop(key, ()):
                self._rows[place] = None
        for row in rows:
            self._places.setdefault(_replaced_with(row), []).append(len(self._rows))
            self._rows.append(row)
        self._current = None

    def _rewrite(self, rows: Iterable[Row]) -> None:
        with atomic_file(self.path) as beside:
            beside.write_bytes(_lines(rows, header=True))
        self._forget()


def _replaced_with(row: Row) -> tuple[Any, ...]:
    return (row.unit, FAILED) if row.metric == FAILED else (row.unit, row.images, row.settings)


def _whole(content: bytes) -> int:
    """How many bytes there are up to the last empty line; an empty line within quotes is none."""
    read = whole = 0

    def lines() -> Iterator[str]:
        nonlocal read
        for line in content.splitlines(keepends=True):
            read += len(line)
            yield line.decode("latin-1")

    for cells in csv.reader(lines()):
        whole = whole if cells or content[read - 1 : read] != b"\n" else read
    return whole


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


def _lines(rows: Iterable[Row], *, header: bool = False) -> bytes:
    """As CSV, with an empty line at the end."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    if header:
        writer.writerow(COLUMNS)
    writer.writerows(map(_cells, rows))
    writer.writerow([])
    return text.getvalue().encode()


def _cells(row: Row) -> list[object]:
    """What is written: nothing for NaN and for no epoch."""
    cells: list[object] = ["" if cell != cell else cell for cell in row]  # noqa: PLR0124
    for name in OPTIONAL:
        place = COLUMNS.index(name)
        cells[place] = "" if cells[place] == NO_EPOCH else cells[place]
    return cells


def _row(columns: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(columns):
        raise ValueError(f"a row has {len(cells)} cells, the header {len(columns)}")
    named = zip(columns, cells, strict=True)
    return Row(**{name: _value(name, cell) for name, cell in named if name in _TYPES})  # type: ignore[arg-type]


def _value(name: str, cell: str) -> object:
    kind = _TYPES[name]
    if cell == "" and (kind is float or name in OPTIONAL):
        return np.nan if kind is float else NO_EPOCH
    return kind(cell)
