"""Modules by the name of their method, and from checkpoints: the YAML of the command line."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pytorch_lightning as pl
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn

from ctc_lightning.checks import count
from ctc_lightning.cli.composed import compose_options
from ctc_lightning.cli.errors import explain, refuse_unused
from ctc_lightning.configured import SECTIONS, chosen, make_network, module_parts
from ctc_lightning.data.network_input import NetworkInput
from ctc_lightning.files.old_names import with_new_names
from ctc_lightning.networks.network import Network
from ctc_lightning.networks.state_dict import differences
from ctc_lightning.networks.weights_file import read_weights_file
from ctc_lightning.networks.width import find_width
from ctc_lightning.trusted import check_targets

_CLASSIFIER = "network.classifier.weight"
_PLACES = ("model", "network", "optim.optimizer", "optim", "")  # where an option is looked for, in this order


class Configured(pl.LightningModule):
    """A module that can be made from the command line's YAML, or from a checkpoint's copy of it."""

    network: Network
    config: dict[str, Any] | None = None
    network_input: NetworkInput | None = None  # the images that a loaded checkpoint was trained on

    @classmethod
    def from_preset(
        cls,
        preset: str,
        *,
        backbone: str | nn.Module,
        num_classes: int,
        image_channels: int = 3,
        image_size: int | None = None,
        overrides: Sequence[str] = (),
        **options: Any,
    ) -> Self:
        """A method by its name, from the same YAML as ``python -m ctc_lightning.train model=PRESET``.

        Args:
            preset: ``ce``, ``ctc_queue``, ``ctc_bank``, ``ctc_two_stage``, … (``conf/model``).
            backbone: ``family/model``, or a module (B, C, H, W) to (B, F).
            num_classes: at least 2.
            image_channels: C.
            image_size: H = W, for backbones that are made for one size; of a module, the size at which its
                width F is found (None: 224).
            overrides: further ones as on the command line, ``["optim=imagenet"]``.
            options: of the model, the network or the optimizer by name: ``queue_size=4096``, ``lr=0.03``.

        Raises:
            ValueError: an option or a value that the command line would refuse.

        Example:
            >>> module = CTCModule.from_preset(
            ...     "ctc_queue", backbone="cifar/resnet8", num_classes=10, queue_size=256
            ... )
            >>> module.hparams["queue_size"], module.hparams["temperature"]
            (256, 0.2)
        """
        shape = {"num_classes": num_classes, "image_channels": image_channels, "image_size": image_size}
        parts, config = preset_parts(preset, backbone, shape, overrides, options)
        return cls(**parts).remember(config)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: str | Path,
        map_location: Any = "cpu",
        *,
        backbone: nn.Module | None = None,
        trust: bool = False,
        **parts: Any,
    ) -> Self:
        """The module of a checkpoint, without running foreign code.

        Args:
            checkpoint_path: of `ctc_lightning.train` or of any trainer; older ones as well.
            map_location: the device to put the module on.
            backbone: the module that was given to `from_preset`, if one was.
            trust: also make classes that are neither ours nor torch's optimizers.
            parts: the constructor's arguments, for a module that was made from parts.

        Raises:
            ValueError: no checkpoint, one without its configuration, or one that would run foreign code.
        """
        if "network" in parts:
            return super().load_from_checkpoint(checkpoint_path, map_location, weights_only=True, **parts)
        arguments, config, state, expected = checkpoint_parts(checkpoint_path, backbone, trust=trust)
        module = cls(**(arguments | parts)).remember(config)
        module.make_memories(state)
        if problems := differences(module.state_dict(), state):
            raise ValueError(
                f"{checkpoint_path} holds weights of another architecture than its configuration names: it "
                f"{problems}; give another file."
            )
        module.load_state_dict(state)
        module.network_input = expected
        return module.to(map_location)

    @abstractmethod
    def make_memories(self, state: Mapping[str, Tensor]) -> None:
        """Make the state that depends on the training images, for that of a checkpoint."""

    def remember(self, config: dict[str, Any]) -> Self:
        """Keep the configuration for checkpoints, and what was chosen for ``hparams``."""
        self.config = config
        self.save_hyperparameters(chosen(config))
        return self

    @property
    def backbone(self) -> nn.Module:
        """F."""
        return self.network.backbone

    @property
    def classifier(self) -> nn.Linear:
        """W."""
        return self.network.classifier


def compose_preset(preset: str, options: Mapping[str, Any], overrides: Sequence[str]) -> DictConfig:
    """The configuration of ``model=PRESET`` with these options.

    Args:
        preset: a file of ``conf/model``.
        options: by their own names, see `_PLACES`.
        overrides: as on the command line.

    Raises:
        ValueError: an option that does not exist, is of the wrong type or has no effect.
    """
    words = [f"model={preset}", "network=any", "network.backbone=none", *overrides]
    cfg, words = compose_options("train", words, options, _PLACES, f"preset {preset!r}", SECTIONS)
    refuse_unused(cfg, words)
    return cfg


def preset_parts(
    preset: str,
    backbone: str | nn.Module,
    shape: dict[str, Any],
    overrides: Sequence[str],
    options: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The constructor's arguments and the configuration that they follow; see `Configured.from_preset`."""
    count("from_preset", least=2, example=10, num_classes=shape["num_classes"])
    cfg = compose_preset(preset, options, overrides)
    OmegaConf.set_struct(cfg, False)  # noqa: FBT003
    own = not isinstance(backbone, str)
    cfg.network = {**cfg.network, "backbone": type(backbone).__qualname__ if own else backbone, **shape}
    try:
        parts = module_parts(cfg)
        network = (
            make_network(cfg.network) if isinstance(backbone, str) else own_network(backbone, cfg.network)
        )
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(explain(error, "train")) from error
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    if own:
        del config["network"]["_target_"]
    return {"network": network, **parts}, config


def own_network(backbone: nn.Module, cfg: Mapping[str, Any]) -> Network:
    """A backbone of somebody's own with the configuration's projector and a classifier.

    Args:
        backbone: (B, C, H, W) to (B, F).
        cfg: ``conf/network`` with ``num_classes``, ``image_channels`` and ``image_size``.

    Raises:
        ValueError: it does not take such images, or gives no (B, F).
    """
    if cfg["pretrained"] or cfg["stem"] or cfg["backbone_options"]:
        raise ValueError(
            "pretrained, stem and backbone_options are for backbones that are given by name; leave them out "
            "and change the module itself."
        )
    shape = (cfg["image_channels"], *(cfg["image_size"] or 224,) * 2)
    width = find_width(backbone, shape, "give image_channels=C and image_size=H")
    backbone.num_features = width  # type: ignore[assignment]
    projector = instantiate(cfg["projector"])
    return Network(
        backbone,
        projector and projector(width),
        cfg["num_classes"],
        channels_last=cfg["channels_last"],
    )


def checkpoint_parts(
    path: str | Path, backbone: nn.Module | None, *, trust: bool
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Tensor], NetworkInput | None]:
    """The constructor's arguments, their configuration, the weights and what the training images were."""
    path = Path(path)
    try:
        content = read_weights_file(path)
    except ValueError as error:
        raise ValueError(f"no complete checkpoint: {error}; give another file.") from error
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or _CLASSIFIER not in state:
        raise ValueError(f"{path} is no checkpoint of a CTCModule; give a .ckpt file that one has trained.")
    config: dict[str, Any] = {key: v for key, v in (content.get("config") or {}).items() if key in SECTIONS}
    if not config:
        raise ValueError(
            f"{path} does not hold its configuration, as its module was made from parts; give the "
            "constructor's arguments: CTCModule.load_from_checkpoint(path, network=..., stages=..., ...)."
        )
    config = with_new_names(config)
    check_targets(config, trust=trust)
    network = dict(config["network"])
    is_own = "_target_" not in network
    if is_own and backbone is None:
        raise ValueError(
            f"{path} has a backbone of your own, {network['backbone']}; give it: "
            f"CTCModule.load_from_checkpoint(path, backbone={network['backbone']}(...))."
        )
    shape = {key: network.get(key) for key in ("image_channels", "image_size")}
    if shape["image_channels"] is None:
        shape["image_channels"], shape["image_size"] = _image_shape(content, state)
    network |= {**shape, "num_classes": len(state[_CLASSIFIER])}
    network |= (
        {"pretrained": False} if "pretrained" in network else {}
    )  # the weights are about to be replaced
    parts = module_parts(config)
    made = own_network(backbone, network) if is_own and backbone is not None else make_network(network)
    expected = content.get("input") and NetworkInput(
        *map(tuple, map(content["input"].get, NetworkInput._fields))
    )
    return {"network": made, **parts}, config, state, expected


def _image_shape(content: Mapping[str, Any], state: Mapping[str, Tensor]) -> tuple[int, int | None]:
    """Channels and size of the images; older checkpoints do not state them."""
    if expected := content.get("input"):
        return expected["shape"][0], expected["shape"][1]
    return next(weight.shape[1] for weight in state.values() if weight.ndim == 4), None
