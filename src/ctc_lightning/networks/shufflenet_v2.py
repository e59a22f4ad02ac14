"""ShuffleNetV2 (Ma et al. 2018) for 32x32 images."""

from typing import Any

from torch import nn

from ctc_lightning.networks import from_torchvision


def shufflenet_v2(*, image_channels: int = 3) -> nn.Module:
    """Build torchvision's ShuffleNetV2 1x with a 1x1 stem instead of a strided 3x3 and a max-pool.

    Weights start at PyTorch's defaults, as in the reference. Source: arXiv 1807.11164 in the form of
    ``dt-tradeoff@a36516b models/ShuffleNetv2.py:102``.
    """
    network = from_torchvision.build("shufflenet_v2_x1_0", stem=None, pretrained=False, image_channels=3)
    stem: Any = network.conv1
    stem[0] = nn.Conv2d(image_channels, stem[0].out_channels, kernel_size=1, bias=False)
    network.maxpool = nn.Identity()
    return network
