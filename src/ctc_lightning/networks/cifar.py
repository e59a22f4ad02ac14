"""The catalogue of small networks for 32x32 images, those of the reference code."""

from collections.abc import Callable
from functools import partial
from inspect import Parameter, signature
from typing import Any

from torch import nn

from ctc_lightning.networks.cifar_resnet import cifar_resnet
from ctc_lightning.networks.mobilenet_v2 import MobileNetV2
from ctc_lightning.networks.resnet import resnet_with_cifar_stem
from ctc_lightning.networks.resnext import cifar_resnext
from ctc_lightning.networks.shufflenet_v1 import ShuffleNetV1
from ctc_lightning.networks.shufflenet_v2 import shufflenet_v2
from ctc_lightning.networks.wide_resnet import WideResNet

_NARROW, _WIDE = (16, 16, 32, 64), (32, 64, 128, 256)
_WRN = "16_1 16_2 16_4 16_10 22_4 28_2 28_4 28_10 34_4 40_1 40_2 40_4 46_4 52_4 64_4"

# Positional arguments define the architecture; keyword arguments are left to the user as options.
CATALOGUE: dict[str, Callable[..., nn.Module]] = {
    **{f"resnet{depth}": partial(cifar_resnet, depth, _NARROW) for depth in (8, 14, 20, 32, 44, 56, 110)},
    **{f"resnet{depth}x4": partial(cifar_resnet, depth, _WIDE) for depth in (8, 32)},
    **{f"resnet{d}": partial(resnet_with_cifar_stem, f"resnet{d}") for d in (18, 34, 50, 101, 152)},
    **{f"wrn_{size}": partial(WideResNet, *map(int, size.split("_"))) for size in _WRN.split()},
    **{f"resnext32_{c}x{d}d": partial(cifar_resnext, 32, c, d) for c, d in ((4, 16), (8, 8), (16, 4))},
    "mobilenet_v2": MobileNetV2,
    "shufflenet_v1": ShuffleNetV1,
    "shufflenet_v2": shufflenet_v2,
}


def names() -> list[str]:
    """List the models of family ``cifar``."""
    return list(CATALOGUE)


def build(
    model: str,
    *,
    stem: str | None,
    pretrained: bool,
    image_channels: int,
    image_size: int | None = None,  # noqa: ARG001  # all of these take images of any size
    **options: Any,
) -> nn.Module:
    """Build a catalogued network with random weights; ValueError for what it cannot have."""
    if stem is not None:
        raise ValueError(f"cifar/{model} already has a stem for small images: leave stem unset, not {stem!r}")
    if pretrained:
        raise ValueError(f"cifar/{model} has no published weights: give pretrained the path of a file")
    parameters = signature(CATALOGUE[model]).parameters.values()
    accepted = [p.name for p in parameters if p.kind is Parameter.KEYWORD_ONLY and p.name != "image_channels"]
    if unknown := [option for option in options if option not in accepted]:
        known = ", ".join(accepted) or "none"
        raise ValueError(f"cifar/{model} has no backbone option {', '.join(unknown)}: it takes {known}")
    return CATALOGUE[model](image_channels=image_channels, **options)
