"""MobileNetV2 (Sandler et al. 2018) for 32x32 images."""

# B images, C channels, H height, W width
from functools import partial

from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from ctc_lightning.checks import in_range
from ctc_lightning.networks.kaiming import kaiming_fan_out_

# out_channels at width 1, repeats, first stride, expansion
_STAGES = (
    (16, 1, 1, 1),
    (24, 2, 1, 6),
    (32, 3, 2, 6),
    (64, 4, 2, 6),
    (96, 3, 1, 6),
    (160, 3, 2, 6),
    (320, 1, 1, 6),
)

_pointwise = partial(Conv2dNormActivation, kernel_size=1)


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, linear 1x1; plus x where the shape stays."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.residual = nn.Sequential(
            _pointwise(in_channels, hidden),
            Conv2dNormActivation(hidden, hidden, stride=stride, groups=hidden),
            _pointwise(hidden, out_channels, activation_layer=None),
        )
        self.keeps_shape = stride == 1 and in_channels == out_channels

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H / stride, W / stride)."""
        y_BCHW = self.residual(x_BCHW)
        return x_BCHW + y_BCHW if self.keeps_shape else y_BCHW


class MobileNetV2(nn.Module):
    """Stem of stride 2, 17 inverted residuals of total stride 8, 1x1 convolution to 1280, global pool.

    Convolutions start Kaiming-normal (fan-out), BatchNorm at scale 1 and shift 0. Source: arXiv
    1801.04381 in the form of ``dt-tradeoff@a36516b models/mobilenetv2.py:59`` (its ``mobile_half``). That
    form is not torchvision's: plain ReLU, stride 1 in the 24-channel stage, widths cut to an integer
    instead of rounded to multiples of 8, and an expansion convolution in the first block too.

    Args:
        width: multiplies the channels, at least 1/16, those of the last layer only where it is above 1; 0.5
            in the reference.
        image_channels: channels of the image.

    Raises:
        ValueError: width so small that a stage has no channel.
    """

    def __init__(self, *, width: float = 0.5, image_channels: int = 3) -> None:
        in_range("mobilenet_v2", "[0.0625, inf)", width=width)  # each stage keeps a channel
        super().__init__()
        channels = int(32 * width)
        self.layers = nn.Sequential(Conv2dNormActivation(image_channels, channels, stride=2))
        for base, repeats, first_stride, expansion in _STAGES:
            for stride in (first_stride, *[1] * (repeats - 1)):
                self.layers.append(InvertedResidual(channels, int(base * width), stride, expansion))
                channels = int(base * width)
        self.num_features = int(1280 * max(1.0, width))
        self.layers.append(_pointwise(channels, self.num_features))
        kaiming_fan_out_(self)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map (B, C, H, W) images to (B, num_features) features."""
        return self.layers(x_BCHW).mean((2, 3))
