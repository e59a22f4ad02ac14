"""ResNeXt for 32x32 images (Xie et al. 2016, section 5.3)."""

from torchvision.models.resnet import Bottleneck

from ctc_lightning.networks.cifar_resnet import CifarResNet, blocks_per_stage


def cifar_resnext(
    depth: int, cardinality: int, base_width: int, *, stem_stride: int = 1, image_channels: int = 3
) -> CifarResNet:
    """Build ResNeXt-{depth} {cardinality}x{base_width}d: stem of 32, stages of 128, 256 and 512 channels.

    ``base_width`` is a group's width in the stage of 256 channels: the second here, the first in arXiv
    1611.05431. Source: ``dt-tradeoff@a36516b models/resnext.py:36``, whose depth counts two layers per
    bottleneck instead of three, so that depth = 6n + 2.
    """
    return CifarResNet(
        Bottleneck,
        blocks_per_stage(depth),
        (32, 32, 64, 128),
        stem_stride=stem_stride,
        image_channels=image_channels,
        groups=cardinality,
        base_width=base_width,
    )
