"""Evaluate every checkpoint of a run, or a plain backbone, on transfer targets: ``python -m ctc_lightning.transfer``.

Finished work is never repeated: a row of ``results.csv`` says by what settings it was measured. A pair of
checkpoint and target is claimed by a file lock, so several processes may share the work, and a killed one's
claim ends with it.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import hydra
import torch
from filelock import FileLock, Timeout
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from ctc_lightning.config_errors import plain_errors
from ctc_lightning.console import set_up_console
from ctc_lightning.data.data_module import ImageDataModule
from ctc_lightning.data.network_input import NetworkInput
from ctc_lightning.evaluation.feature_cache import FeatureCache
from ctc_lightning.evaluation.protocol import Protocol
from ctc_lightning.evaluation.published_input import published_input
from ctc_lightning.measuring import (
    CLASSIFIER,
    FAILURES,
    SOURCE,
    FrozenNetwork,
    ImageDigests,
    Moment,
    headlines,
    measure,
    missing,
    settings_of,
    source_rows,
    task_of,
)
from ctc_lightning.paths import config_dir
from ctc_lightning.results import FAILED, ResultsTable, Row
from ctc_lightning.snapshot import (
    Snapshot,
    epoch_in_name,
    find_checkpoints,
    find_runs,
    own_data,
    read_snapshot,
    rebuild,
)
from ctc_lightning.targets import Target, expand, is_external, open_target

log = logging.getLogger("ctc_lightning")

_POLL_SECONDS = 20
_WHOLE = "-"  # in the column target, of what concerns no single one


@dataclass
class Subject:
    """What is evaluated: the moments of one run, or one backbone.

    Attributes:
        folder: of results.csv, features and locks.
        method: for the tables.
        seed: likewise.
        own: the data it was trained on, set up; None where they are not needed or not known.
        expected: what the network was trained to see.
        moments: (epoch, step) -> makes backbone and classifier; ascending.
        last_epoch: that the training is to reach.
    """

    folder: Path
    method: str
    seed: int
    own: ImageDataModule | None
    expected: NetworkInput
    moments: dict[tuple[int, int], Callable[[], tuple[Any, Any]]]
    last_epoch: int = 0
    targets: dict[str, Target] = field(default_factory=dict)

    @property
    def table(self) -> ResultsTable:
        """Its results."""
        return ResultsTable(self.folder / "results.csv")

    def moment(self, epoch: int, step: int) -> Moment:
        """The first columns of its rows."""
        return Moment(self.folder.name, self.method, self.seed, epoch, step)


class Evaluation:
    """The work of one process.

    Args:
        cfg: see ``conf/transfer.yaml``.
    """

    def __init__(self, cfg: DictConfig) -> None:
        self.cfg = cfg
        self.protocols: dict[str, Protocol] = {str(k): instantiate(p) for k, p in cfg.protocol.items() if p}
        if not self.protocols:
            raise ValueError("there is no protocol; choose some, for example protocol=[logreg,knn].")
        self.device = _device(cfg.device)
        self.image_digests = ImageDigests()
        self.options: Any = OmegaConf.to_container(cfg.data)
        self.failed: list[Row] = []
        self.elsewhere = 0

    def run(self) -> bool:
        """Everything; returns whether nothing failed."""
        subjects = self.subjects()
        for folder, make in subjects:
            while True:
                training = self.cfg.watch and _in_training(folder)  # before looking: what it leaves is seen
                subject = make()
                if subject is not None:
                    self.evaluate(subject)
                if not training:
                    break
                time.sleep(_POLL_SECONDS)
            if subject is not None:
                log.info("%s", closing_table(subject, self.protocols))
        if self.elsewhere:
            log.info("%d measurements were left to other processes.", self.elsewhere)
        for row in self.failed:
            log.warning(
                "failed: %s, epoch %d, %s on %s: %s", row.run, row.epoch, row.protocol, row.target, row.note
            )
        return not self.failed

    # -------------------------------------------------------------------------------------- subjects

    def subjects(self) -> list[tuple[Path, Callable[[], Subject | None]]]:
        """What to evaluate, found but not yet opened."""
        cfg = self.cfg
        backbone = None if OmegaConf.is_missing(cfg.network, "backbone") else cfg.network.backbone
        given = {"run": cfg.run, "checkpoint": cfg.checkpoint, "network.backbone": backbone}
        chosen = [name for name, value in given.items() if value is not None]
        if len(chosen) != 1:
            raise ValueError(
                f"{' and '.join(chosen) or 'nothing'} to evaluate; give exactly one of run=RUN_DIR, "
                "checkpoint=FILE.ckpt and network.backbone=FAMILY/NAME."
            )
        if cfg.run is not None:
            paths = [cfg.run] if isinstance(cfg.run, str) else list(cfg.run)
            folders = dict.fromkeys(folder for path in paths for folder in find_runs(Path(path)))
            return [(folder, lambda folder=folder: self.of_run(folder)) for folder in folders]
        if cfg.checkpoint is not None:
            file = Path(cfg.checkpoint)
            home = file.parent.parent if file.parent.name == "checkpoints" else None
            folder = Path(cfg.output or home or Path(cfg.paths.root) / "checkpoints" / file.stem)
            return [(folder, lambda: self.of_checkpoint(read_snapshot(file), folder))]
        name = str(backbone).replace("/", "_") + ("" if cfg.network.pretrained else "_untrained")
        folder = Path(cfg.output or Path(cfg.paths.root) / "baselines" / name)
        return [(folder, lambda: self.of_backbone(folder))]

    def of_run(self, folder: Path) -> Subject | None:
        """All checkpoints of a run, each moment once; an unreadable one becomes a row and a warning."""
        snapshots: dict[tuple[int, int], Snapshot] = {}
        table = ResultsTable(folder / "results.csv")
        broken: list[Row] = []
        for file in find_checkpoints(folder):
            try:
                snapshot = read_snapshot(file)
            except ValueError as error:
                epoch = epoch_in_name(file)
                broken.append(
                    Moment(folder.name, *_names(folder), epoch, -1).failure(file.name, _WHOLE, str(error))
                )
                continue
            if snapshot.epoch not in {epoch for epoch, _ in snapshots}:
                snapshots[snapshot.epoch, snapshot.step] = snapshot
        table.keep(lambda row: not row.protocol.endswith(".ckpt"))
        if broken:
            table.put(broken)
            self.failed += broken
        return self.of_snapshots(dict(sorted(snapshots.items())), folder) if snapshots else None

    def of_checkpoint(self, snapshot: Snapshot, folder: Path) -> Subject:
        """A single file."""
        if not (folder / "config.yaml").exists():
            folder.mkdir(parents=True, exist_ok=True)
            OmegaConf.save(OmegaConf.create(snapshot.config), folder / "config.yaml")
        return self.of_snapshots({(snapshot.epoch, snapshot.step): snapshot}, folder)

    def of_snapshots(self, snapshots: dict[tuple[int, int], Snapshot], folder: Path) -> Subject:
        """Moments of one run."""
        first = next(iter(snapshots.values()))
        config, trust = first.config, self.cfg.trust
        own = None
        if first.expected is None or not is_external(self.cfg.target, config["data"]["name"]):
            source: Any = OmegaConf.to_container(self.cfg.source)
            own = _own_data(json.dumps(config["data"]), json.dumps(source), trust)
        expected = first.expected or own.network_input  # type: ignore[union-attr]
        return Subject(
            folder=folder,
            method=str(config.get("method", folder.name)),
            seed=int(config.get("seed", 0)),
            own=own,
            expected=expected,
            moments={
                when: lambda snapshot=snapshot: rebuild(snapshot, expected.shape, trust=trust)  # type: ignore[misc]
                for when, snapshot in snapshots.items()
            },
            last_epoch=int(config["trainer"]["max_epochs"]),
        )

    def of_backbone(self, folder: Path) -> Subject:
        """A plain timm or torchvision backbone."""
        cfg = self.cfg
        expected = published_input(cfg.network.backbone, **cfg.input)
        network = OmegaConf.merge(cfg.network, {"projector": None})
        folder.mkdir(parents=True, exist_ok=True)
        record = {"data": {"name": None}, "method": cfg.network.backbone, "seed": 0, "network": cfg.network}
        OmegaConf.save(OmegaConf.create(record), folder / "config.yaml", resolve=True)

        def make() -> tuple[Any, None]:
            torch.manual_seed(0)  # of weights that are not loaded
            channels, size, _ = expected.shape
            made = instantiate(network, num_classes=1, image_channels=channels, image_size=size)
            return made.backbone.eval(), None

        return Subject(folder, str(cfg.network.backbone), 0, None, expected, {(0, 0): make})

    # ------------------------------------------------------------------------------------------ work

    def evaluate(self, subject: Subject) -> None:
        """Every moment on every target, as far as it is not measured and nobody else is at it."""
        targets = self.open_targets(subject)
        networks = Networks(subject, self)
        self.elsewhere = 0
        for when in subject.moments:
            rows = self.at(subject, targets, networks, when)
            networks.forget_before(when)
            if rows:
                log.info("%s", line(subject, when, rows))

    def open_targets(self, subject: Subject) -> list[Target]:
        """Those that can be opened; the others become rows and warnings."""
        targets = []
        for name in expand(self.cfg.target, subject.own):
            if name == SOURCE:
                continue
            if name not in subject.targets:
                try:
                    opened = open_target(name, subject.own, subject.expected, self.options)
                except FAILURES as error:
                    row = Moment(subject.folder.name, subject.method, subject.seed, -1, -1).failure(
                        "setup", name, str(error)
                    )
                    subject.table.put([row])
                    self.failed.append(row)
                    continue
                subject.table.keep(lambda row, name=name: (row.protocol, row.target) != ("setup", name))
                subject.targets[name] = opened
            targets.append(subject.targets[name])
        return targets

    def at(
        self, subject: Subject, targets: Sequence[Target], networks: "Networks", when: tuple[int, int]
    ) -> list[Row]:
        """The new rows of one moment."""
        moment, found = subject.moment(*when), []
        try:
            network = networks[when]
        except FAILURES as error:
            row = moment.failure("network", _WHOLE, str(error))
            subject.table.put([row])
            self.failed.append(row)
            return []
        if subject.own is not None and network.classifier is not None:
            with self.claim(subject, when, SOURCE) as mine:
                if mine and not _has_source(subject, moment):
                    found += source_rows(network, subject.own, moment)
                    subject.table.put(found)
        for target in targets:
            settings = {name: settings_of(p, target, network) for name, p in self.protocols.items()}
            with self.claim(subject, when, target.name) as mine:
                todo = missing(self.protocols, settings, subject.table.rows(), moment, target.name)
                if not mine:
                    self.elsewhere += len(todo)
                elif todo:
                    found += self.measured(subject, target, networks, when, todo, settings)
        return found

    def measured(
        self,
        subject: Subject,
        target: Target,
        networks: "Networks",
        when: tuple[int, int],
        todo: Mapping[str, Protocol],
        settings: Mapping[str, str],
    ) -> Iterator[Row]:
        """Rows of one target, each protocol's written as soon as it is there."""
        moment = subject.moment(*when)
        compared = networks.compared_to(when) if any(p.compares_checkpoints for p in todo.values()) else {}
        try:
            task = task_of(
                target,
                networks[when],
                compared_to=compared,
                with_images=any(protocol.uses_images for protocol in todo.values()),
            )
        except FAILURES as error:
            batches = [[moment.failure(name, target.name, str(error))] for name in todo]
        else:
            batches = measure(todo, task, moment, settings)
        for rows in batches:
            subject.table.put(rows)
            self.failed += [row for row in rows if row.metric == FAILED]
            yield from rows

    @contextmanager
    def claim(self, subject: Subject, when: tuple[int, int], target: str) -> Iterator[bool]:
        """Hold the lock of (moment, target), if no other process does: yields whether."""
        folder = subject.folder / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{when[0]:04d}_{target.replace('/', '_')}.lock", timeout=0)
        try:
            with lock:
                yield True
        except Timeout:
            yield False


class Networks:
    """The networks of a subject's moments, loaded when asked for.

    Args:
        subject: whose.
        evaluation: for device, cache and digests.
    """

    def __init__(self, subject: Subject, evaluation: Evaluation) -> None:
        self.subject, self.evaluation = subject, evaluation
        self.cache = FeatureCache(subject.folder / "features" if evaluation.cfg.keep_features else None)
        self.loaded: dict[tuple[int, int], FrozenNetwork] = {}

    def __getitem__(self, when: tuple[int, int]) -> FrozenNetwork:
        """Load it.

        Raises:
            ValueError: see `rebuild`.
        """
        if when not in self.loaded:
            backbone, classifier = self.subject.moments[when]()
            device = self.evaluation.device
            self.loaded[when] = FrozenNetwork(
                backbone.to(device),
                classifier and classifier.to(device),
                device,
                self.cache,
                self.evaluation.image_digests,
            )
        return self.loaded[when]

    def compared_to(self, when: tuple[int, int]) -> dict[str, FrozenNetwork]:
        """The first moment and the one before, where there are such."""
        moments = list(self.subject.moments)
        place = moments.index(when)
        return {"first": self[moments[0]], "previous": self[moments[place - 1]]} if place else {}

    def forget_before(self, when: tuple[int, int]) -> None:
        """Keep the first moment and this one, which the next is compared to."""
        kept = {next(iter(self.subject.moments)), when}
        self.loaded = {key: network for key, network in self.loaded.items() if key in kept}


@lru_cache(maxsize=1)
def _own_data(data: str, source: str, trust: bool) -> ImageDataModule:
    """The runs of a sweep often share their data."""
    return own_data({"data": json.loads(data)}, json.loads(source), trust=trust)


def _has_source(subject: Subject, moment: Moment) -> bool:
    return any(
        (row.protocol, row.epoch, row.step) == (CLASSIFIER, moment.epoch, moment.step)
        for row in subject.table.rows()
    )


def _names(folder: Path) -> tuple[str, int]:
    """Method and seed, as far as the run's configuration can be read."""
    try:
        config: Any = OmegaConf.load(folder / "config.yaml")
        return str(config.get("method", folder.name)), int(config.get("seed", 0))
    except (OSError, ValueError):
        return folder.name, 0


def _in_training(folder: Path) -> bool:
    try:
        return json.loads((folder / "provenance.json").read_text())["status"] == "running"
    except (OSError, ValueError, KeyError):
        return False


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device={name} cannot be used ({error}); choose auto, cpu or cuda.") from error
    return device


def line(subject: Subject, when: tuple[int, int], rows: Sequence[Row]) -> str:
    """One line on what was measured at one moment, in per cent under the first protocol."""
    first = next((row.protocol for row in rows if row.protocol != CLASSIFIER), None)
    shown = [
        f"{row.target} {100 * row.value:.1f}"
        for row in headlines(rows)
        if row.protocol in (CLASSIFIER, first)
    ]
    seconds = sum(
        {(row.protocol, row.target): row.seconds for row in rows if row.seconds == row.seconds}.values()
    )
    where = f"{subject.method}, seed {subject.seed}, epoch {when[0]}/{subject.last_epoch}"
    return f"{where}: {', '.join(shown) or 'nothing'} ({seconds:.1f} s)"


def closing_table(subject: Subject, protocols: Mapping[str, Protocol]) -> str:
    """The last moment's numbers, one line for each protocol and target, and where all of them are."""
    rows = [row for row in subject.table.rows() if row.protocol in protocols and row.metric != FAILED]
    if not rows:
        return f"{subject.folder}: nothing was measured."
    last = max(row.epoch for row in rows)
    rows = [row for row in rows if row.epoch == last]
    own = {
        (row.protocol, row.target, row.metric.removeprefix("val_"))
        for row in rows
        if row.metric.startswith("val_")
    }
    judged = {(protocol, target) for protocol, target, _ in own}
    lines = []
    for row in rows:
        unit = (row.protocol, row.target)
        if (*unit, row.metric) in own or (unit not in judged and not row.metric.startswith("val_")):
            interval = f" [{_number(row.low)}, {_number(row.high)}]" if row.low == row.low else ""
            lines.append(
                f"  {row.target:<18} {row.protocol:<12} {row.metric:<20} {_number(row.value)}{interval}  {row.chosen}".rstrip()
            )
    head = f"{subject.method}, seed {subject.seed}, epoch {last} (95 % intervals)"
    return "\n".join(["", head, *lines, f"Everything is in {subject.table.path}"])


def _number(value: float) -> str:
    return f"{value:.4f}"


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="transfer")
def run(cfg: DictConfig) -> None:
    """One evaluation; exit code 1 if something failed."""
    with plain_errors("transfer"):
        set_up_console()
        if cfg.num_threads is not None:
            torch.set_num_threads(cfg.num_threads)
        if not Evaluation(cfg).run():
            sys.exit(1)


def main() -> None:
    """``python -m ctc_lightning.transfer``: errors of the user's are one sentence and exit code 2."""
    with plain_errors("transfer"):
        run()


if __name__ == "__main__":
    main()
