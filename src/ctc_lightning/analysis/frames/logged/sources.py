"""Where runs are: one source for each, however many loggers it had."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctc_lightning.analysis.frames.logged.event_files import read_event_files
from ctc_lightning.analysis.frames.logged.metrics_csv import read_metrics_csv
from ctc_lightning.analysis.frames.logged.run import LoggedRun
from ctc_lightning.analysis.frames.logged.wandb_api import PREFIX, read_wandb_api
from ctc_lightning.analysis.frames.logged.wandb_files import read_wandb_files
from ctc_lightning.cli.configuration import TENSORBOARD, WANDB_ID

Paths = str | Path | Iterable[str | Path]


@dataclass
class Folder:
    """A run's directory, and which tables and logs lie in it.

    Attributes:
        path: resolved.
        results: there is a ``results.csv`` that is not a report's.
        metrics: there is a ``metrics.csv``.
        wandb: by W&B's id, the files of each process in their order.
        events: the folders of TensorBoard's event files.
    """

    path: Path
    results: bool = False
    metrics: bool = False
    wandb: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    events: list[Path] = field(default_factory=list)

    def num_tables(self) -> int:
        """Of all kinds."""
        return self.results + self.metrics + sum(map(len, self.wandb.values())) + len(self.events)

    def wandb_id(self) -> str | None:
        """The id of the W&B run that belongs to this directory now, where our logger wrote it down."""
        file = self.path / WANDB_ID
        return file.read_text().strip() if file.is_file() else None

    def logged(self) -> Iterator[tuple[str, Any]]:
        """The path and a reader of each run, from the richest log: of a float, W&B keeps all 64 bits."""
        if self.metrics:
            yield str(self.path), lambda: read_metrics_csv(self.path)
        elif self.wandb:
            own = self.wandb_id()
            ids = [own] if own in self.wandb else sorted(self.wandb)
            for name in ids:
                files = self.wandb[name]
                path = str(self.path if len(ids) == 1 else files[-1].parent)
                yield path, lambda path=path, files=files: read_wandb_files(path, files)
        else:
            for folder in self.events:
                path = str(self.path if len(self.events) == 1 else folder)
                yield path, lambda path=path, folder=folder: read_event_files(path, folder)


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
    found: dict[Path, Folder] = {}

    def at(folder: Path) -> Folder:
        return found.setdefault(folder, Folder(folder))

    for place, below, names in os.walk(path.resolve()):
        below.sort()
        here = Path(place)
        if "results.csv" in names and not is_of_a_report(here / "results.csv"):
            at(here).results = True
        if "metrics.csv" in names:
            at(here).metrics = True
        for name in sorted(names):
            if name.startswith("run-") and name.endswith(".wandb"):
                of_process = here.parent  # …/wandb/offline-run-DATE-ID/run-ID.wandb
                home = of_process.parent if of_process.name == "wandb" else here
                at(home).wandb[name.removeprefix("run-").removesuffix(".wandb")].append(here / name)
        if any(".tfevents." in name for name in names):
            at(here.parent if here.name == TENSORBOARD else here).events.append(here)
    if not found:
        raise ValueError(
            f"{path} holds no run: no results.csv, metrics.csv, TensorBoard or W&B files in it or below it"
        )
    return [found[folder] for folder in sorted(found)]


def is_of_a_report(file: Path) -> bool:
    """Whether the table holds the rows of many runs: it says of each row where it came from."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        return {"data", "path"} <= set(lines.readline().strip().split(","))


def unique_folders(paths: Sequence[Path]) -> list[Folder]:
    """Of all paths, each directory once, with all that any of them shows of it."""
    found: dict[Path, Folder] = {}
    for folder in (folder for path in paths for folder in folders(path)):
        found[folder.path] = max(found.get(folder.path, folder), folder, key=Folder.num_tables)
    return list(found.values())


def from_server(addresses: Sequence[str], known: Sequence[Folder], api: Any) -> list[LoggedRun]:
    """The runs of W&B addresses, but those whose directories are at hand."""
    at_hand = {folder.wandb_id() for folder in known}
    runs = {run.path: run for address in addresses for run in read_wandb_api(address, api)}
    return [run for path, run in runs.items() if path.rpartition("/")[2] not in at_hand]
