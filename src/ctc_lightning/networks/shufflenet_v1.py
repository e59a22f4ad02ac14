"""ShuffleNetV1 (Zhang et al. 2017) for 32x32 images."""

# B images, C channels, H height, W width
import torch
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

_GROUPS = 3
_STEM_CHANNELS = 24
_STAGES = ((240, 4), (480, 8), (960, 4))  # out_channels, units


class ChannelShuffle(nn.Module):
    """``nn.ChannelShuffle`` in operators that the ONNX exporter has."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def extra_repr(self) -> str:
        """As that of ``nn.ChannelShuffle``, so that digests of the network stay."""
        return f"groups={self.groups}"

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Reorder the channels (groups, C / groups) as (C / groups, groups)."""
        return x_BCHW.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)


class ShuffleUnit(nn.Module):
    """Grouped 1x1, channel shuffle, 3x3 depthwise, grouped 1x1.

    The result is added to x, or, in a stage's first unit, halves the image and is concatenated with the
    average-pooled x.
    """

    def __init__(self, in_channels: int, out_channels: int, *, first: bool) -> None:
        super().__init__()
        self.first = first
        # The stem's few channels are not grouped (section 3.2 of the paper).
        groups = 1 if in_channels == _STEM_CHANNELS else _GROUPS
        channels = out_channels - in_channels if first else out_channels
        hidden = channels // 4
        self.residual = nn.Sequential(
            Conv2dNormActivation(in_channels, hidden, kernel_size=1, groups=groups),
            ChannelShuffle(groups),
            Conv2dNormActivation(hidden, hidden, stride=2 if first else 1, groups=hidden),
            Conv2dNormActivation(hidden, channels, kernel_size=1, groups=_GROUPS, activation_layer=None),
        )
        self.pool = nn.AvgPool2d(3, stride=2, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H, W), or H / 2 and W / 2 for a first unit."""
        y_BCHW = self.residual(x_BCHW)
        return torch.relu(torch.cat([y_BCHW, self.pool(x_BCHW)], 1) if self.first else x_BCHW + y_BCHW)


class ShuffleNetV1(nn.Module):
    """ShuffleNet 1x with 3 groups: 1x1 stem without stride, three stages of 240, 480 and 960 channels.

    Weights start at PyTorch's defaults, as in the reference. Source: arXiv 1707.01083 in the form of
    ``dt-tradeoff@a36516b models/ShuffleNetv1.py:56``, which has a ReLU after the depthwise convolution
    that the paper has not.
    """

    def __init__(self, *, image_channels: int = 3) -> None:
        super().__init__()
        channels = _STEM_CHANNELS
        self.layers = nn.Sequential(Conv2dNormActivation(image_channels, channels, kernel_size=1))
        for out_channels, num_units in _STAGES:
            for unit in range(num_units):
                self.layers.append(ShuffleUnit(channels, out_channels, first=unit == 0))
                channels = out_channels
        self.num_features = channels

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map (B, C, H, W) images to (B, num_features) features."""
        return self.layers(x_BCHW).mean((2, 3))
