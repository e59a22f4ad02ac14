"""The stem for small images: full resolution reaches a ResNet's first stage."""

from typing import Any

import timm.models
import torchvision.models
from torch import nn
from torchvision.models.resnet import conv3x3

from ctc_lightning.networks.kaiming import kaiming_fan_out_


def replace_stem(network: nn.Module, image_channels: int) -> None:
    """Put a 3x3 stride-1 convolution in place of a ResNet's 7x7 or deep stem and drop its max-pool.

    A 32x32 image then keeps 32x32 up to the first stage instead of 8x8. The new convolution starts
    Kaiming-normal (fan-out), also in a pretrained network. With it, torchvision's ResNets are those of
    ``dt-tradeoff@a36516b models/resnetv2.py:75``.

    Raises:
        ValueError: the network is no torchvision or timm ``ResNet`` (which ResNeXt, Wide ResNet and
            SE-ResNet are).
    """
    if not isinstance(network, torchvision.models.ResNet | timm.models.ResNet):
        raise ValueError(  # noqa: TRY004 - the user's option does not fit, no argument has a wrong type
            f"stem='cifar' is for ResNets (ResNeXt, Wide ResNet and SE-ResNet too), "
            f"not for {type(network).__name__}: leave stem unset"
        )
    first_stage: Any = network.layer1
    conv = conv3x3(image_channels, first_stage[0].conv1.in_channels)
    kaiming_fan_out_(conv)
    network.conv1 = conv
    network.maxpool = nn.Identity()
