"""ResNet-18 to ResNet-152 for 32x32 images."""

from torch import nn

from ctc_lightning.networks import from_torchvision


def resnet_with_cifar_stem(
    model: str, *, zero_init_residual: bool = False, image_channels: int = 3
) -> nn.Module:
    """Build torchvision's ResNet behind a 3x3 stride-1 stem.

    Convolutions start Kaiming-normal (fan-out), BatchNorm at scale 1 and shift 0; ``zero_init_residual``
    starts the last scale of every block at 0 (arXiv 1706.02677). Source: ``dt-tradeoff@a36516b
    models/resnetv2.py:75``.
    """
    return from_torchvision.build(
        model,
        stem="cifar",
        pretrained=False,
        image_channels=image_channels,
        zero_init_residual=zero_init_residual,
    )
