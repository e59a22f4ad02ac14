"""The arguments of `CTCModule` from a configuration of the command line."""

from collections.abc import Mapping
from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from ctc_lightning.optim import Constant

SECTIONS = ("network", "model", "optim", "label_smoothing")


def module_parts(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for all but the network and the data: stages, optimizer, schedule, smoothing.

    Args:
        cfg: with the `SECTIONS`; of an older checkpoint, some options may be missing.
    """
    optim, stages = cfg["optim"], cfg["model"]["stages"] or {}
    return {
        "stages": {str(name): instantiate(stage) for name, stage in stages.items() if stage},
        "optimizer": instantiate(optim["optimizer"]),
        "schedule": instantiate(optim.get("schedule")) or Constant(),
        "label_smoothing": cfg.get("label_smoothing", 0.0),
        "lr_base_batch": optim.get("lr_base_batch"),
        "decay_norm_and_bias": optim.get("decay_norm_and_bias", True),
    }


def make_network(cfg: Mapping[str, Any], **shape: Any) -> nn.Module:
    """The network of ``conf/network`` for ``num_classes``, ``image_channels`` and ``image_size``."""
    return instantiate(OmegaConf.create({**cfg, **shape}))


def chosen(config: Mapping[str, Any]) -> dict[str, Any]:
    """What was chosen, for ``hparams``: preset, network, the options of the model and the optimizer."""
    model = {name: value for name, value in config["model"].items() if name not in ("name", "stages")}
    network = {
        name: value
        for name, value in config["network"].items()
        if isinstance(value, str | int | float | bool) and not name.startswith("_")
    }
    rest = {"label_smoothing": config.get("label_smoothing", 0.0), "optim": config["optim"]}
    return {"preset": config["model"]["name"], **network, **model, **rest}
