"""Standardises images by the channel statistics of the training images."""

# N training images, B of a batch; C channels, H rows, W columns

import torch
from torch import Tensor


class Standardise:
    """(image / 255 - mean) / std per channel.

    Args:
        train_NCHW: the (N, C, H, W) uint8 images whose statistics it takes.

    Attributes:
        mean: (C,) float32, in units of [0, 1].
        std: (C,) float32, of the population, likewise.

    Raises:
        ValueError: a channel that has one value throughout.
    """

    def __init__(self, train_NCHW: Tensor) -> None:
        intensity_NCHW = train_NCHW.double() / 255
        self.mean = intensity_NCHW.mean((0, 2, 3)).float()
        self.std = intensity_NCHW.std((0, 2, 3), correction=0).float()
        if not self.std.all():
            raise ValueError(
                f"The standard deviations of the training channels are {self.std.tolist()}, must be above 0: "
                "leave out the channel that never changes."
            )
        # A value for every pixel, in the images' own layout: several times faster than broadcasting over C.
        size = (1, *train_NCHW.shape[1:])
        self._scale_1CHW, self._offset_1CHW = (
            value_C.view(1, -1, 1, 1).expand(size).contiguous(memory_format=torch.channels_last)
            for value_C in (1 / (255 * self.std), -self.mean / self.std)
        )

    def __call__(self, image: Tensor) -> Tensor:
        """Standardise (B, C, H, W) uint8 to float32 on the same device, channels_last."""
        scale, offset = self._scale_1CHW.to(image.device), self._offset_1CHW.to(image.device)
        return torch.addcmul(offset, image.to(torch.float32, memory_format=torch.channels_last), scale)
