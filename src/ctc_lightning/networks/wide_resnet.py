"""Wide residual networks with pre-activation blocks (Zagoruyko and Komodakis 2016)."""

# B images, C channels, H height, W width
from torch import Tensor, nn
from torchvision.models.resnet import conv1x1, conv3x3

from ctc_lightning.checks import in_range
from ctc_lightning.networks.kaiming import kaiming_fan_out_


def _norm_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


class PreActivationBlock(nn.Module):
    """y = s(a) + conv(dropout(relu(bn(conv(a))))) with a = relu(bn(x)).

    The shortcut s is the identity on x where channels stay, else a 1x1 convolution of a. Own code,
    because timm's block fuses BatchNorm and ReLU, which conversion to SyncBatchNorm tears apart.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.activation = _norm_relu(in_channels)
        self.residual = nn.Sequential(
            conv3x3(in_channels, out_channels, stride),
            _norm_relu(out_channels),
            nn.Dropout(dropout),
            conv3x3(out_channels, out_channels),
        )
        self.shortcut = conv1x1(in_channels, out_channels, stride) if in_channels != out_channels else None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H / stride, W / stride)."""
        a_BCHW = self.activation(x_BCHW)
        return (x_BCHW if self.shortcut is None else self.shortcut(a_BCHW)) + self.residual(a_BCHW)


class WideResNet(nn.Module):
    """WRN-{depth}-{width}: 3x3 convolution, three stages of 16, 32 and 64 times width, BN, ReLU, pool.

    Convolutions start Kaiming-normal (fan-out), BatchNorm at scale 1 and shift 0. Source: arXiv
    1605.07146, as in ``dt-tradeoff@a36516b models/wrn.py:58``.

    Args:
        depth: 6n + 4 for n blocks in each stage.
        width: the widening factor.
        dropout: probability between a block's convolutions, in [0, 1); 0 in the reference.
        image_channels: channels of the image.

    Raises:
        ValueError: a depth that is not 6n + 4, or dropout outside [0, 1).
    """

    def __init__(self, depth: int, width: int, *, dropout: float = 0.0, image_channels: int = 3) -> None:
        in_range("wide ResNet", "[0, 1)", dropout=dropout)
        num_blocks, rest = divmod(depth - 4, 6)
        if num_blocks < 1 or rest:
            raise ValueError(f"depth must be 6n + 4, such as 16 or 28, not {depth}")
        super().__init__()
        channels = 16
        self.stem = conv3x3(image_channels, channels)
        self.blocks = nn.Sequential()
        for out_channels, first_stride in ((16 * width, 1), (32 * width, 2), (64 * width, 2)):
            for stride in (first_stride, *[1] * (num_blocks - 1)):
                self.blocks.append(PreActivationBlock(channels, out_channels, stride, dropout))
                channels = out_channels
        self.activation = _norm_relu(channels)
        self.num_features = channels
        kaiming_fan_out_(self)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map (B, C, H, W) images to (B, num_features) features."""
        return self.activation(self.blocks(self.stem(x_BCHW))).mean((2, 3))
