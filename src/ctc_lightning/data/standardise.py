"""Standardises images by the channel statistics of the training images."""

# N training images, B of a batch; C channels, H rows, W columns

from collections.abc import Sequence

import torch
from torch import Tensor

_CHUNK = 4096  # images at a time, so that counting needs little memory


class Standardise:
    """(image / 255 - mean) / std per channel.

    Args:
        mean: C means, in units of [0, 1].
        std: C standard deviations, likewise, each above 0.
        image_shape: (C, H, W) of the images to come.

    Attributes:
        mean: (C,) float32.
        std: (C,) float32.

    Raises:
        ValueError: a standard deviation of 0, or not one value for each channel.
    """

    def __init__(
        self, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor, image_shape: tuple[int, int, int]
    ) -> None:
        self.mean = torch.as_tensor(mean, dtype=torch.float32)
        self.std = torch.as_tensor(std, dtype=torch.float32)
        channels = image_shape[0]
        if not len(self.mean) == len(self.std) == channels:
            raise ValueError(
                f"data.mean has {len(self.mean)} values and data.std {len(self.std)}, but the images have "
                f"{channels} channels: give one value for each channel."
            )
        if not (self.std > 0).all():
            raise ValueError(
                f"The standard deviations of the training channels are {self.std.tolist()}, must be above 0: "
                "leave out the channel that never changes."
            )
        # A value for every pixel, in the images' own layout: several times faster than broadcasting over C.
        self._scale_1CHW, self._offset_1CHW = (
            value_C.view(1, -1, 1, 1).expand(1, *image_shape).contiguous(memory_format=torch.channels_last)
            for value_C in (1 / (255 * self.std), -self.mean / self.std)
        )

    def __call__(self, image: Tensor) -> Tensor:
        """Standardise (B, C, H, W) uint8 to float32 on the same device, channels_last."""
        if self._scale_1CHW.device != image.device:  # once, not in every step
            self._scale_1CHW, self._offset_1CHW = (
                self._scale_1CHW.to(image.device),
                self._offset_1CHW.to(image.device),
            )
        out = image.to(torch.float32, memory_format=torch.channels_last, copy=True)
        return torch.addcmul(self._offset_1CHW, out, self._scale_1CHW, out=out)


def channel_statistics(image_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (of the population) of each channel, from its histogram of 256 levels.

    Exact whatever N is, and without a float copy of the images.

    Args:
        image_NCHW: (N, C, H, W) uint8.

    Returns:
        (C,) float32 each, in units of [0, 1].
    """
    channels = image_NCHW.shape[1]
    count_CL = torch.zeros(channels, 256, dtype=torch.int64)
    for chunk_NCHW in image_NCHW.split(_CHUNK):
        for channel in range(channels):
            count_CL[channel] += torch.bincount(chunk_NCHW[:, channel].flatten(), minlength=256)
    level_L = torch.arange(256, dtype=torch.float64) / 255
    share_CL = count_CL.double() / count_CL.sum(1, keepdim=True)
    mean_C = share_CL @ level_L
    variance_C = (share_CL * (level_L - mean_C[:, None]) ** 2).sum(1)
    return mean_C.float(), variance_C.sqrt().float()
