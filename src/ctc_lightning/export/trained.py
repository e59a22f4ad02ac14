"""What is exported: one checkpoint's backbone, its classifier if asked for, and what they expect to see."""

# B images, C channels, H rows, W columns, F features, L classes

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ctc_lightning.data.file_batches import Fit
from ctc_lightning.data.network_input import NetworkInput
from ctc_lightning.evaluation.run_checkpoints import Snapshot, find_checkpoints, read_snapshot, rebuild

_CLASSIFIER = "network.classifier.weight"
_NUM_CHECKED = 5


class Trained(NamedTuple):
    """A trained network, in eval mode on the CPU, and how it came about.

    Attributes:
        snapshot: the checkpoint.
        name: of the backbone, ``family/model``.
        stem: see `create_backbone`.
        options: the backbone's own.
        input: the images it expects.
        backbone: f.
        classifier: W; None if it was not asked for.
        classes: names of the source classes; empty if they have none.
    """

    snapshot: Snapshot
    name: str
    stem: str | None
    options: dict[str, Any]
    input: NetworkInput
    backbone: nn.Module
    classifier: nn.Linear | None
    classes: tuple[str, ...]

    @property
    def family(self) -> str:
        """Of the backbone: cifar, timm or torchvision."""
        return self.name.partition("/")[0]

    @property
    def model(self) -> str:
        """Of the backbone, without the family and without the tag of published weights."""
        return self.name.partition("/")[2].partition(".")[0]

    @property
    def title(self) -> str:
        """For messages: the backbone, and its stem if that is not its own."""
        return self.name + (f" with stem={self.stem}" if self.stem else "")

    @property
    def num_features(self) -> int:
        """F."""
        return int(self.backbone.num_features)  # type: ignore[arg-type]

    @property
    def fit(self) -> Fit:
        """How files become the images it expects."""
        data = self.snapshot.config["data"]
        return Fit(
            self.input.shape[1], data.get("crop_share") or 1.0, data.get("interpolation") or "bilinear"
        )

    @property
    def num_classes(self) -> int:
        """L; 0 without the classifier."""
        return self.classifier.out_features if self.classifier is not None else 0

    @torch.no_grad()
    def outputs(self, x_BCHW: Tensor) -> Tensor:
        """What a format has to reproduce: (B, L) logits, or (B, F) features without the classifier."""
        h_BF = self.backbone(x_BCHW)
        return h_BF if self.classifier is None else self.classifier(h_BF)

    def images(self) -> Tensor:
        """(B, C, H, W) standardised random images to compare outputs on, the same at every call."""
        generator = torch.Generator().manual_seed(0)
        return torch.randn(_NUM_CHECKED, *self.input.shape, generator=generator)


def find_checkpoint(path: Path, which: str | int | None) -> Path:
    """The file itself, or a run directory's.

    Args:
        path: a file or a run directory.
        which: of a run directory: an epoch, or a file's name in ``checkpoints/`` without its ending; None:
            ``last``.

    Raises:
        ValueError: nothing of that name is there.
    """
    if not path.is_dir():
        if which is not None:
            raise ValueError(f"which={which} has no effect with checkpoint={path}, a file; leave it out.")
        return path
    there = {file.stem: file for file in find_checkpoints(path)}
    name = f"epoch_{which:03d}" if isinstance(which, int) else (which or "last")
    if not there:
        raise ValueError(
            f"checkpoint={path} holds no checkpoints/*.ckpt; name a run directory or a .ckpt file."
        )
    if name not in there:
        raise ValueError(f"{path} has no checkpoint {name}; choose which= of {', '.join(sorted(there))}.")
    return there[name]


def open_trained(path: Path, *, classifier: bool, trust: bool) -> Trained:
    """Rebuild backbone and classifier; nothing of the method's own (projector, memory, averages) comes along.

    Args:
        path: of the checkpoint.
        classifier: whether W is wanted.
        trust: see `check_targets`.

    Raises:
        ValueError: no checkpoint of ours, one without a classifier or without what it expects to see; see
            `check_targets`.
    """
    snapshot = read_snapshot(path)
    if _CLASSIFIER not in snapshot.state:
        raise ValueError(
            f"{path} holds no classifier, so its network cannot be rebuilt; export another checkpoint."
        )
    if snapshot.expected is None:
        raise ValueError(
            f"{path} does not say what images it expects, being of an older version; resume its training for "
            "an epoch, and export what that writes."
        )
    num_classes = len(snapshot.state[_CLASSIFIER])
    if snapshot.classes and len(snapshot.classes) != num_classes:
        raise ValueError(
            f"{path} names {len(snapshot.classes)} classes and its classifier has {num_classes}; export "
            "another checkpoint."
        )
    with torch.random.fork_rng(devices=[]):
        backbone, head = rebuild(snapshot, snapshot.expected.shape, trust=trust)
    # NHWC convolutions round otherwise than those of the network that will load the tensors
    backbone.to(memory_format=torch.contiguous_format)
    network = snapshot.config["network"]
    return Trained(
        snapshot=snapshot,
        name=str(network["backbone"]),
        stem=network.get("stem"),
        options=dict(network.get("backbone_options") or {}),
        input=snapshot.expected,
        backbone=backbone,
        classifier=head if classifier else None,
        classes=snapshot.classes,
    )
