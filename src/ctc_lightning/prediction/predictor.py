"""A trained network and the images it expects: from a run, a checkpoint or an exported folder."""

# B images, C channels, S rows and columns, F features, L classes

import json
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ctc_lightning.data.file_batches import Fit
from ctc_lightning.data.network_input import NetworkInput
from ctc_lightning.data.standardise import Standardise
from ctc_lightning.export.trained import find_checkpoint, open_trained
from ctc_lightning.networks import create_backbone

_FILE = "model.safetensors"
_REMEDY = "give a run directory, a checkpoint, or an export with format=safetensors or format=timm"


class Predictor(NamedTuple):
    """A network in eval mode and what it expects to see.

    Attributes:
        backbone: f.
        classifier: W, or what else gives logits of features; None without one.
        input: the images it expects.
        fit: how files become such images.
        classes: names of the classes; empty if they have none.
        num_classes: L; 0 without a classifier.
    """

    backbone: nn.Module
    classifier: nn.Module | None
    input: NetworkInput
    fit: Fit
    classes: tuple[str, ...]
    num_classes: int

    @property
    def num_features(self) -> int:
        """F."""
        return int(self.backbone.num_features)  # type: ignore[arg-type]

    def to(self, device: torch.device) -> "Predictor":
        """On a device, in place."""
        self.backbone.to(device)
        if self.classifier is not None:
            self.classifier.to(device)
        return self

    @torch.inference_mode()
    def __call__(self, image_BCSS: Tensor, standardise: Standardise) -> tuple[Tensor, Tensor]:
        """(B, F) features and (B, L) probabilities of (B, C, S, S) uint8 images, on the CPU."""
        h_BF = self.backbone(standardise(image_BCSS))
        p_BL = h_BF[:, :0] if self.classifier is None else self.classifier(h_BF).softmax(1)
        return h_BF.float().cpu(), p_BL.float().cpu()


def open_predictor(path: Path, which: str | int | None = None, *, trust: bool = False) -> Predictor:
    """Rebuild the network of a run, a checkpoint or an export.

    Args:
        path: a run directory, a ``.ckpt`` file, or a folder that ``ctc_lightning.export`` wrote.
        which: see `find_checkpoint`.
        trust: see `check_targets`.

    Raises:
        ValueError: nothing of the kind is there, or it does not say what images it expects.
    """
    if not path.exists():
        raise ValueError(f"checkpoint={path} does not exist; {_REMEDY}.")
    if is_export(path):
        folder = path.parent if path.suffix == ".safetensors" else path
        if which is not None:
            raise ValueError(f"which={which} has no effect with checkpoint={path}, an export; leave it out.")
        return _of_export(folder)
    trained = open_trained(find_checkpoint(path, which), classifier=True, trust=trust)
    parts = trained.backbone, trained.classifier, trained.input, trained.fit, trained.classes
    return Predictor(*parts, trained.num_classes)


def is_export(path: Path) -> bool:
    """Whether `ctc_lightning.export` wrote it, and not a training."""
    if path.suffix == ".safetensors":
        return True
    return path.is_dir() and not (path / "checkpoints").is_dir() and (path / "README.md").is_file()


def _of_export(folder: Path) -> Predictor:
    try:
        with safe_open(folder / _FILE, framework="pt") as file:
            metadata = file.metadata() or {}
            parts = {name for name in ("weight", "bias") if f"classifier.{name}" in set(file.keys())}
            head = {name: file.get_tensor(f"classifier.{name}") for name in parts}
    except (OSError, SafetensorError) as error:
        raise ValueError(f"checkpoint={folder} has no whole {_FILE} ({error}); {_REMEDY}.") from error
    if (folder / "config.json").is_file():
        return _of_timm(folder)
    if "backbone" not in metadata or "fit" not in metadata:
        raise ValueError(f"{folder / _FILE} does not say what images it expects; {_REMEDY}.")
    known = {key: json.loads(value) for key, value in metadata.items() if key != "format"}
    expected = _network_input(**known["input"])
    with torch.random.fork_rng(devices=[]):
        backbone = create_backbone(
            known["backbone"],
            stem=known["stem"],
            pretrained=folder / _FILE,
            image_channels=expected.shape[0],
            image_size=expected.shape[1],
            **known["backbone_options"],
        ).eval()
    classifier = None
    if head:
        classifier = nn.Linear(head["weight"].shape[1], head["weight"].shape[0])
        classifier.load_state_dict(head)
    classes = tuple(known["classes"])
    return Predictor(
        backbone, classifier, expected, Fit(**known["fit"]), classes, len(head.get("weight", ()))
    )


class _Features(nn.Module):
    """Of a timm model that has a classifier, what that sees; ``head`` gives logits of it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.num_features = model, model.num_features

    def forward(self, x_BCSS: Tensor) -> Tensor:
        return self.model.forward_head(self.model.forward_features(x_BCSS), pre_logits=True)


def _of_timm(folder: Path) -> Predictor:
    config = json.loads((folder / "config.json").read_text())
    model: Any = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    seen = config["pretrained_cfg"]
    expected = _network_input(seen["input_size"], seen["mean"], seen["std"])
    fit = Fit(expected.shape[1], seen["crop_pct"], seen["interpolation"])
    head = model.get_classifier() if config["num_classes"] else None
    return Predictor(
        _Features(model), head, expected, fit, tuple(config.get("label_names", ())), config["num_classes"]
    )


def _network_input(shape: Any, mean: Any, std: Any) -> NetworkInput:
    return NetworkInput(tuple(shape), tuple(mean), tuple(std))
