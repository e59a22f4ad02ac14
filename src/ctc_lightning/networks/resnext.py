"""ResNeXt for 32x32 images (Xie et al. 2016, section 5.3)."""

from torchvision.models.resnet import Bottleneck

from ctc_lightning.networks.cifar_resnet import CifarResNet


def cifar_resnext(
    depth: int, cardinality: int, base_width: int, *, stem_stride: int = 1, image_channels: int = 3
) -> CifarResNet:
    """Build ResNeXt-{depth} {cardinality}x{base_width}d: stem of 32, stages of 128, 256 and 512 channels.

    ``base_width`` is a group's width in the stage of 256 channels, halved before and doubled after it,
    as in ``dt-tradeoff@a36516b models/resnext.py:37`` (arXiv 1611.05431 gives it to the first stage).
    The reference's depth counts two layers per bottleneck, not three: depth = 6n + 2.
    """
    num_blocks, rest = divmod(depth - 2, 6)
    assert rest == 0, depth
    return CifarResNet(
        Bottleneck,
        num_blocks,
        (32, 32, 64, 128),
        stem_stride=stem_stride,
        image_channels=image_channels,
        groups=cardinality,
        base_width=base_width,
    )
