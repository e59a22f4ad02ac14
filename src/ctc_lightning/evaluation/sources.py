"""What is to be evaluated: runs with all their checkpoints, a single checkpoint, or a plain backbone."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.data.class_names import difference, reorder
from ctc_lightning.data.data_module import ImageDataModule
from ctc_lightning.data.network_input import NetworkInput
from ctc_lightning.data.record import image_record
from ctc_lightning.evaluation.data_options import DataOptions
from ctc_lightning.evaluation.measurement import Moment
from ctc_lightning.evaluation.published_input import published_fit, published_input
from ctc_lightning.evaluation.results import NO_EPOCH, ResultsTable, Row
from ctc_lightning.evaluation.run_checkpoints import (
    Snapshot,
    epoch_in_name,
    find_checkpoints,
    find_runs,
    own_data,
    read_snapshot,
    rebuild,
)
from ctc_lightning.evaluation.targets import Target, is_external
from ctc_lightning.files.atomic_write import write_text
from ctc_lightning.training.resume import image_changes

log = logging.getLogger(__name__)

When = tuple[int, int]
"""(finished epochs, finished steps)."""
WHOLE = "-"  # in the column target, of what concerns no single one
_BROKEN = ".ckpt"  # in the column protocol, a checkpoint that cannot be read


@dataclass
class EvaluationSource:
    """The moments of one run, or one backbone.

    Attributes:
        folder: of results.csv, features and locks.
        method: for the tables.
        seed: likewise.
        own: the data it was trained on, set up; None where they are not needed or not known.
        expected: what the network was trained to see.
        moments: when -> makes backbone and classifier (None without one); ascending.
        last_epoch: that the training is to reach.
        options: of targets that are other data sets.
        recorded: ``data`` of the run's configuration.
        targets: those that have been opened, by the name that was asked for.
    """

    folder: Path
    method: str
    seed: int
    own: ImageDataModule | None
    expected: NetworkInput
    moments: dict[When, Callable[[], tuple[nn.Module, nn.Linear | None]]]
    last_epoch: int = 0
    options: DataOptions = field(default_factory=DataOptions)
    recorded: Mapping[str, Any] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)

    @cached_property
    def table(self) -> ResultsTable:
        """Its results."""
        return ResultsTable(self.folder / "results.csv")

    def moment(self, when: When) -> Moment:
        """The first columns of its rows."""
        return Moment(self.folder.name, self.method, self.seed, *when)


Found = Callable[[], tuple[EvaluationSource | None, list[Row]]]
"""Opens a subject (None: nothing can be evaluated yet), with a row for each checkpoint that is unreadable."""


def find_subjects(cfg: DictConfig) -> dict[Path, Found]:
    """What the configuration names, found but not yet opened, by the folder of its results.

    Raises:
        ValueError: not exactly one of ``run``, ``checkpoint`` and ``network.backbone``; nothing is there.
    """
    backbone = None if OmegaConf.is_missing(cfg.network, "backbone") else cfg.network.backbone
    given = {"run": cfg.run, "checkpoint": cfg.checkpoint, "network.backbone": backbone}
    chosen = [name for name, value in given.items() if value is not None]
    if len(chosen) != 1:
        raise ValueError(
            f"there is {' and '.join(chosen) or 'nothing'} to evaluate; give exactly one of run=RUN_DIR, "
            "checkpoint=FILE.ckpt and network.backbone=FAMILY/NAME."
        )
    _refuse_unused(cfg, chosen[0])
    if cfg.run is not None:
        paths = [cfg.run] if isinstance(cfg.run, str) else list(cfg.run)
        folders = dict.fromkeys(folder.resolve() for path in paths for folder in find_runs(Path(path)))
        return {folder: partial(_of_run, cfg, folder) for folder in folders}
    if cfg.checkpoint is not None:
        file = Path(cfg.checkpoint).resolve()
        home = file.parent.parent if file.parent.name == "checkpoints" else None
        folder = Path(
            cfg.output or home or Path(cfg.paths.root) / "checkpoints" / f"{file.parent.name}_{file.stem}"
        )
        return {folder: partial(_of_checkpoint, cfg, file, folder)}
    folder = Path(cfg.output or Path(cfg.paths.root) / "baselines" / _baseline(cfg).replace("/", "_"))
    return {folder: partial(_of_backbone, cfg, folder)}


def _refuse_unused(cfg: DictConfig, chosen: str) -> None:
    """Refuse an option that is for another kind of subject: it would be ignored."""
    given = {
        "output": ("run",) if cfg.output is not None else (),
        "watch": ("checkpoint", "network.backbone") if cfg.watch else (),
        **{f"input.{k}": ("run", "checkpoint") for k, value in cfg.input.items() if value is not None},
        **{f"source.{k}": ("network.backbone",) for k, value in cfg.source.items() if value is not None},
        **{f"network.{key}": ("run", "checkpoint") for key in _changed(cfg.network)},
    }
    for option, useless in given.items():
        if chosen in useless:
            raise ValueError(f"{option} has no effect with {chosen}=…; leave it out.")


def _changed(network: DictConfig) -> list[str]:
    """Options of a baseline's network that are not as in ``conf/network/any.yaml``."""
    default: Any = OmegaConf.load(config_dir() / "network" / "any.yaml")
    default.projector = OmegaConf.load(config_dir() / "projector" / "linear.yaml")
    then: Any = OmegaConf.to_container(default)
    now: Any = OmegaConf.to_container(network, resolve=False)
    return [key for key in now if key in then and now[key] != then[key] and key != "backbone"]


def _baseline(cfg: DictConfig) -> str:
    """What a plain backbone is called: with its weights, so that two files are two baselines."""
    weights = cfg.network.pretrained
    if isinstance(weights, bool):
        return str(cfg.network.backbone) if weights else f"{cfg.network.backbone}, untrained"
    return f"{cfg.network.backbone}, {Path(weights).stem}"


def _of_run(cfg: DictConfig, folder: Path) -> tuple[EvaluationSource | None, list[Row]]:
    """All checkpoints of a run, each epoch once; an unreadable one stands in the table."""
    snapshots: dict[When, Snapshot] = {}
    broken: list[Row] = []
    for file in find_checkpoints(folder):
        try:
            snapshot = read_snapshot(file)
        except ValueError as error:
            moment = Moment(folder.name, *method_and_seed(folder), epoch_in_name(file), NO_EPOCH)
            broken.append(moment.failure(file.name, WHOLE, str(error)))
            continue
        if snapshot.within_epoch:
            log.info(
                "left out: %s was saved at %s, and results are of whole epochs; checkpoint=%s output=FOLDER "
                "measures it by itself.",
                file.name,
                snapshot.when,
                file,
            )
            continue
        if snapshot.epoch not in {epoch for epoch, _ in snapshots}:
            snapshots[snapshot.epoch, snapshot.step] = snapshot
    table = ResultsTable(folder / "results.csv")
    if any(row.protocol.endswith(_BROKEN) for row in table.rows()):
        table.keep(lambda row: not row.protocol.endswith(_BROKEN))
    if broken:
        table.put(broken)
    return (_of_snapshots(cfg, dict(sorted(snapshots.items())), folder) if snapshots else None), broken


def _of_checkpoint(cfg: DictConfig, file: Path, folder: Path) -> tuple[EvaluationSource, list[Row]]:
    snapshot = read_snapshot(file)
    if snapshot.within_epoch and folder.resolve() == file.parent.parent:
        raise ValueError(
            f"{file} was saved at {snapshot.when}, and the run's results.csv is of whole epochs; set "
            "output=FOLDER for a table of its own, or let the run finish that epoch (resume=auto)."
        )
    if folder != file.parent.parent:
        write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(snapshot.config)))
    return _of_snapshots(cfg, {(snapshot.epoch, snapshot.step): snapshot}, folder), []


def _of_snapshots(cfg: DictConfig, snapshots: dict[When, Snapshot], folder: Path) -> EvaluationSource:
    first = next(iter(snapshots.values()))
    config = first.config
    own = None
    options = data_options(cfg)
    same = not options.ask_for_other_images(config["data"])
    source: Any = OmegaConf.to_container(cfg.source, resolve=True)
    if first.expected is None or not is_external(cfg.target, config["data"]["name"] if same else None):
        own = _own_data(json.dumps(config["data"]), json.dumps(source), trust=cfg.trust)
        expected = first.expected or own.network_input
        own.show_as(expected)
    else:
        expected = first.expected
        for key, value in source.items():
            if value is not None:
                raise ValueError(
                    f"source.{key}={value} is for the run's own images, and all targets are other data sets; "
                    f"leave it out, or set data.{key}."
                )
    return EvaluationSource(
        folder=folder,
        method=str(config.get("method", folder.name)),
        seed=int(config.get("seed", 0)),
        own=own,
        expected=expected,
        moments={
            when: partial(_rebuild, snapshot, expected, own, trust=cfg.trust)
            for when, snapshot in snapshots.items()
        },
        last_epoch=int(config["trainer"]["max_epochs"]),
        options=options,
        recorded=config["data"],
    )


def data_options(cfg: DictConfig, **fit: Any) -> DataOptions:
    """As configured; ``fit``: how published accuracy cut the images."""
    given, defaults = (OmegaConf.to_container(cfg[node], resolve=True) for node in ("data", "data_defaults"))
    return DataOptions(given, {**defaults, **fit})  # type: ignore[arg-type,dict-item]


def _rebuild(
    snapshot: Snapshot, expected: NetworkInput, own: ImageDataModule | None, *, trust: bool
) -> tuple[nn.Module, nn.Linear]:
    """Backbone and classifier, the latter's rows in the order of the classes of ``own``.

    Raises:
        ValueError: see `rebuild`; the data now have other classes than the classifier, or other images than
            the training had: images to test on may be among those it was trained on.
    """
    backbone, classifier = rebuild(snapshot, expected.shape, trust=trust)
    if own is None:
        return backbone, classifier
    changed = difference(snapshot.classes, own.classes)
    if not changed and classifier.out_features != own.num_classes:
        changed = f"there were {classifier.out_features} classes and are {own.num_classes}"
    if changed and not reorder(classifier, snapshot.classes, own.classes):
        raise ValueError(
            f"data={own.name} has other classes than the network was trained on: {changed}; restore the "
            "classes, or measure them as another data set by target=DATA_SET data.root=FOLDER data.name=NAME."
        )
    record = image_record(own)
    if images := image_changes(snapshot.images, {**record, "digest": None} if changed else record):
        raise ValueError(
            f"data={own.name} has changed since the network was trained: {', '.join(images)}; restore the "
            "images, or measure them as another data set by target=DATA_SET data.root=FOLDER data.name=NAME."
        )
    return backbone, classifier


def _of_backbone(cfg: DictConfig, folder: Path) -> tuple[EvaluationSource, list[Row]]:
    expected = published_input(cfg.network.backbone, **cfg.input)
    network = OmegaConf.merge(cfg.network, {"projector": None})
    record = {"data": {"name": None}, "method": _baseline(cfg), "seed": 0, "network": network}
    write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(record), resolve=True))

    def make() -> tuple[nn.Module, None]:
        channels, size, _ = expected.shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # of weights that are not loaded
            made = instantiate(network, num_classes=1, image_channels=channels, image_size=size)
        return made.backbone.eval(), None

    options = data_options(cfg, **published_fit(cfg.network.backbone))
    return EvaluationSource(folder, _baseline(cfg), 0, None, expected, {(0, 0): make}, options=options), []


@lru_cache(maxsize=1)
def _own_data(data: str, source: str, *, trust: bool) -> ImageDataModule:
    """The runs of a sweep often share their data."""
    return own_data({"data": json.loads(data)}, json.loads(source), trust=trust)


def method_and_seed(folder: Path) -> tuple[str, int]:
    """As far as the run's configuration can be read."""
    try:
        config: Any = OmegaConf.load(folder / "config.yaml")
        return str(config.get("method", folder.name)), int(config.get("seed", 0))
    except (OSError, ValueError):
        return folder.name, 0
