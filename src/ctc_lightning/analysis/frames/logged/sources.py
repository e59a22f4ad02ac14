"""Where runs are: directories on disk, and W&B's cloud."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctc_lightning.analysis.frames.logged.run import LoggedRun
from ctc_lightning.analysis.frames.logged.wandb_api import PREFIX, read_wandb_api
from ctc_lightning.cli.configuration import WANDB_ID

Paths = str | Path | Iterable[str | Path]


@dataclass
class Folder:
    """A run's directory, and which tables it has.

    Attributes:
        path: resolved.
        results: there is a ``results.csv`` that is not a report's.
        metrics: there is a ``metrics.csv``.
    """

    path: Path
    results: bool
    metrics: bool

    def wandb_id(self) -> str | None:
        """The id of the W&B run that belongs to this directory now, where our logger wrote it down."""
        file = self.path / WANDB_ID
        return file.read_text().strip() if file.is_file() else None


def split(paths: Paths) -> tuple[list[Path], list[str]]:
    """Paths on disk, and W&B addresses."""
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    addresses = [str(path) for path in given if str(path).startswith(PREFIX)]
    return [Path(path) for path in given if not str(path).startswith(PREFIX)], addresses


def folders(path: Path) -> list[Folder]:
    """The run directories at or below a path.

    Raises:
        ValueError: there is none.
    """
    if not path.is_dir():
        fault = "is a file" if path.exists() else "does not exist"
        raise ValueError(f"{path} {fault}: give a run directory or a folder of runs")
    found = []
    for place, below, names in os.walk(path.resolve()):
        below.sort()
        here = Path(place)
        results = "results.csv" in names and not is_of_a_report(here / "results.csv")
        if results or "metrics.csv" in names:
            found.append(Folder(here, results, "metrics.csv" in names))
    if not found:
        raise ValueError(f"{path} holds no run: no results.csv or metrics.csv in it or below it")
    return sorted(found, key=lambda folder: folder.path)


def is_of_a_report(file: Path) -> bool:
    """Whether the table holds the rows of many runs: it says of each row where it came from."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        return {"data", "path"} <= set(lines.readline().strip().split(","))


def unique_folders(paths: Sequence[Path]) -> list[Folder]:
    """Of all paths, each directory once."""
    return list({folder.path: folder for path in paths for folder in folders(path)}.values())


def from_server(addresses: Sequence[str], known: Sequence[Folder], api: Any) -> list[LoggedRun]:
    """The runs of W&B addresses, but those whose directories are at hand."""
    at_hand = {folder.wandb_id() for folder in known}
    runs = {run.path: run for address in addresses for run in read_wandb_api(address, api)}
    return [run for path, run in runs.items() if path.rpartition("/")[2] not in at_hand]
