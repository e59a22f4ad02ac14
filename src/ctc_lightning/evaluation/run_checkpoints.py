"""The networks that a run left behind: find its checkpoints, read them, rebuild backbone and classifier."""

import copy
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn

from ctc_lightning.data.data_module import ImageDataModule
from ctc_lightning.data.network_input import NetworkInput
from ctc_lightning.evaluation.results import NO_EPOCH
from ctc_lightning.files.old_names import with_new_names
from ctc_lightning.networks.state_dict import differences
from ctc_lightning.networks.weights_file import read_weights_file
from ctc_lightning.trusted import check_targets

_BACKBONE, _CLASSIFIER = "network.backbone.", "network.classifier."


class Snapshot(NamedTuple):
    """One checkpoint.

    Attributes:
        path: of the file.
        epoch: finished epochs.
        step: finished optimizer steps.
        within_epoch: whether it was saved before the epoch that is under way was over, as by a run that was
            told to go: it has trained further than ``epoch``.
        config: the configuration that made it, plain values.
        expected: what its network was trained to see; None in files that do not say.
        state: the module's tensors, mapped from the file.
        classes: names of the classifier's classes, in order; empty where they have none or it is not known.
        images: how many of each split it was trained with, and their digest; None in files that do not say.
    """

    path: Path
    epoch: int
    step: int
    within_epoch: bool
    config: dict[str, Any]
    expected: NetworkInput | None
    state: Mapping[str, Tensor]
    classes: tuple[str, ...] = ()
    images: Mapping[str, Any] | None = None

    @property
    def when(self) -> str:
        """For people, after "at": ``epoch 1, step 390``, or ``step 400, within epoch 2``."""
        if self.within_epoch:
            return f"step {self.step}, within epoch {self.epoch + 1}"
        return f"epoch {self.epoch}, step {self.step}"


def find_runs(path: Path) -> list[Path]:
    """The run directories (with ``checkpoints/``) at or below a path.

    Raises:
        ValueError: there is none.
    """
    if not path.is_dir():
        fault = "is a file, use checkpoint= for a single one" if path.exists() else "does not exist"
        raise ValueError(f"run={path} {fault}; give a run directory or a folder of runs.")
    runs = sorted({file.parent.parent for file in path.rglob("checkpoints/*.ckpt")})
    if not runs:
        raise ValueError(
            f"run={path} holds no checkpoint (checkpoints/*.ckpt); give the directory of a run that has "
            "trained for an epoch at least."
        )
    return runs


def find_checkpoints(run_dir: Path) -> list[Path]:
    """All checkpoints of a run: those of whole epochs first, as they are called by their epoch."""
    files = sorted((run_dir / "checkpoints").glob("*.ckpt"))
    return sorted(files, key=lambda file: not file.name.startswith("epoch_"))


def epoch_in_name(path: Path) -> int:
    """Of ``epoch_NNN.ckpt``; `NO_EPOCH` for other names."""
    match = re.fullmatch(r"epoch_(\d+)", path.stem)
    return int(match[1]) if match else NO_EPOCH


def read_snapshot(path: Path) -> Snapshot:
    """Read a checkpoint of this package's, without running anything that it holds.

    Raises:
        ValueError: there is no such file, it is not whole, or it is no checkpoint of a training here.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist; name a .ckpt file.")
    try:
        content = read_weights_file(path)
    except ValueError as error:
        raise ValueError(
            f"no complete checkpoint: {error}; leave it out, or evaluate again when it is whole."
        ) from error
    state = content.get("state_dict") if isinstance(content, dict) else None
    state = state if isinstance(state, dict) else {}
    config = content.get("config") or {} if state else {}
    has_backbone = any(name.startswith(_BACKBONE) for name in state)
    if has_backbone and "network" in config and "data" not in config:
        raise ValueError(
            f"{path} was trained with loaders of your own, and does not record the size, mean, standard "
            "deviation and classes of their images; train with ctc_lightning.load_data, or use trainer.test "
            "and trainer.predict with CTCModule.load_from_checkpoint(path)."
        )
    if not has_backbone or "data" not in config:
        raise ValueError(
            f"{path} was not written by ctc_lightning.train (it has no configuration or no "
            "network.backbone); train and transfer take other weights with network.backbone=FAMILY/NAME "
            "network.pretrained=FILE."
        )
    expected = content.get("input")
    epoch, within_epoch = _progress(content["loops"]["fit_loop"])
    return Snapshot(
        path=path,
        epoch=epoch,
        step=content["global_step"],
        within_epoch=within_epoch,
        config=with_new_names(content["config"]),
        expected=expected
        and NetworkInput(tuple(expected["shape"]), tuple(expected["mean"]), tuple(expected["std"])),
        state=state,
        classes=tuple(str(name) for name in content.get("classes") or ()),
        images=content.get("images"),
    )


def _progress(loop: Mapping[str, Any]) -> tuple[int, bool]:
    """Finished epochs, and whether a further one is under way.

    Lightning counts an epoch only after its validation, at whose end ``best.ckpt`` may be saved.
    """
    counted, batches = loop["epoch_progress"]["current"], loop["epoch_loop.batch_progress"]
    epoch, done = counted["processed"], batches["current"]["completed"]
    if counted["ready"] == epoch or not done:
        return epoch, False
    of_whole_epochs = batches["total"]["completed"] - done
    if epoch and of_whole_epochs == epoch * done:
        return epoch + 1, False
    return epoch, True


def own_data(config: Mapping[str, Any], options: Mapping[str, Any], *, trust: bool) -> ImageDataModule:
    """The data that a run trained on, set up.

    Args:
        config: of the run.
        options: where its images are on this machine (root, cache_dir, num_workers); None: as recorded.
        trust: see `check_targets`.

    Raises:
        ValueError: see `check_targets`; an option that the data do not have; data that are not there.
    """
    cfg = dict(config["data"])
    check_targets(cfg, trust=trust)
    given = {key: value for key, value in options.items() if value is not None}
    for key in given.keys() - cfg.keys():
        raise ValueError(
            f"source.{key}={given[key]}: the run's data={cfg['name']} has no {key}; leave it out."
        )
    cfg |= given
    cfg |= {"resplit": False} if "resplit" in cfg else {}  # the training's wish, not the evaluation's
    data = instantiate(OmegaConf.create({**cfg, "key_augmentation": None}))
    data.setup()
    return data


def rebuild(snapshot: Snapshot, shape: tuple[int, int, int], *, trust: bool) -> tuple[nn.Module, nn.Linear]:
    """Backbone and source classifier with the checkpoint's weights, in eval mode.

    Args:
        snapshot: the checkpoint.
        shape: (C, H, W) of the images.
        trust: see `check_targets`.

    Raises:
        ValueError: see `check_targets`; weights of another architecture than the configuration's.
    """
    cfg = dict(snapshot.config["network"])
    if "_target_" not in cfg:
        raise ValueError(
            f"{snapshot.path} has a backbone of your own, {cfg['backbone']}, which has no name here; use "
            f"CTCModule.load_from_checkpoint(path, backbone={cfg['backbone']}(...))."
        )
    check_targets(cfg, trust=trust)
    # The projector serves the contrast alone, and published weights are about to be replaced
    cfg |= {key: value for key, value in {"projector": None, "pretrained": False}.items() if key in cfg}
    classifier = {
        n.removeprefix(_CLASSIFIER): w for n, w in snapshot.state.items() if n.startswith(_CLASSIFIER)
    }
    backbone = {n.removeprefix(_BACKBONE): w for n, w in snapshot.state.items() if n.startswith(_BACKBONE)}
    num_classes = len(classifier["weight"])
    network = copy.deepcopy(_untrained(json.dumps(cfg), num_classes, shape))
    for part, state in ((network.backbone, backbone), (network.classifier, classifier)):
        if problems := differences(part.state_dict(), state):
            raise ValueError(
                f"{snapshot.path} holds weights of another architecture than its configuration names: it "
                f"{problems}; evaluate a whole checkpoint."
            )
        part.load_state_dict(state)
    network.eval()
    return network.backbone, network.classifier


@lru_cache(maxsize=1)
def _untrained(cfg: str, num_classes: int, shape: tuple[int, int, int]) -> Any:
    """The network of all checkpoints of a run, built once: each gets a copy for its weights."""
    channels, image_size, _ = shape
    plain = OmegaConf.create(json.loads(cfg))
    return instantiate(plain, num_classes=num_classes, image_channels=channels, image_size=image_size)
