"""Residual networks with three stages for 32x32 images (He et al. 2015, section 4.2)."""

# B images, C channels, H height, W width
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, conv1x1, conv3x3

from ctc_lightning.checks import count
from ctc_lightning.networks.kaiming import kaiming_fan_out_


class CifarResNet(nn.Module):
    """3x3 convolution, three stages of strides 1, 2, 2, global average pool.

    Convolutions start Kaiming-normal (fan-out), BatchNorm at scale 1 and shift 0.

    Args:
        block: torchvision's ``BasicBlock`` or ``Bottleneck``.
        num_blocks: blocks in each stage.
        widths: channels of the stem and of the three stages' blocks; a stage puts out
            ``width * block.expansion``.
        stem_stride: stride of the first convolution, at least 1; 2 quarters the cost.
        image_channels: channels of the image.
        block_options: ``groups`` and ``base_width`` of a ``Bottleneck``.

    Raises:
        ValueError: stem_stride below 1.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        num_blocks: int,
        widths: tuple[int, int, int, int],
        *,
        stem_stride: int = 1,
        image_channels: int = 3,
        **block_options: int,
    ) -> None:
        count("CIFAR ResNet", stem_stride=stem_stride)
        super().__init__()
        channels = widths[0]
        self.stem = nn.Sequential(
            conv3x3(image_channels, channels, stem_stride), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )
        self.stages = nn.Sequential()
        for width, stride in zip(widths[1:], (1, 2, 2), strict=True):
            self.stages.append(_stage(block, num_blocks, channels, width, stride, **block_options))
            channels = width * block.expansion
        self.num_features = channels
        kaiming_fan_out_(self)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map (B, C, H, W) images to (B, num_features) features."""
        return self.stages(self.stem(x_BCHW)).mean((2, 3))


def _stage(
    block: type[BasicBlock] | type[Bottleneck],
    num_blocks: int,
    in_channels: int,
    width: int,
    stride: int,
    **block_options: int,
) -> nn.Sequential:
    out_channels = width * block.expansion
    shortcut = None
    if stride != 1 or in_channels != out_channels:
        shortcut = nn.Sequential(conv1x1(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels))
    return nn.Sequential(
        block(in_channels, width, stride, shortcut, **block_options),
        *(block(out_channels, width, **block_options) for _ in range(num_blocks - 1)),
    )


def blocks_per_stage(depth: int) -> int:
    """Count the blocks n in each of three stages; ValueError unless depth = 6n + 2."""
    num_blocks, rest = divmod(depth - 2, 6)
    if num_blocks < 1 or rest:
        raise ValueError(f"depth must be 6n + 2, such as 20 or 32, not {depth}")
    return num_blocks


def cifar_resnet(
    depth: int, widths: tuple[int, int, int, int], *, stem_stride: int = 1, image_channels: int = 3
) -> CifarResNet:
    """Build ResNet-{depth} with basic blocks; depth = 6n + 2.

    ResNet-20 and its sisters have widths 16-16-32-64, the x4 networks 32-64-128-256. Source: arXiv
    1512.03385 section 4.2, with projection shortcuts as in ``dt-tradeoff@a36516b models/resnet.py:141``.
    """
    num_blocks = blocks_per_stage(depth)
    return CifarResNet(BasicBlock, num_blocks, widths, stem_stride=stem_stride, image_channels=image_channels)
