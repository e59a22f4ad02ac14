"""What a trained network expects its images to look like, and how other images are brought to it."""

# B images of a batch; C channels, H rows, W columns

from typing import NamedTuple

from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from ctc_lightning.data.standardise import Standardise

GREY, RGB = 1, 3


class NetworkInput(NamedTuple):
    """The images that a network was trained on.

    Attributes:
        shape: (C, H, W).
        mean: of each channel, in units of [0, 1].
        std: likewise.
    """

    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]


class AsSeenBy(Standardise):
    """Gives images of any size, grey or RGB, the size, channels and standardisation of a network.

    Grey becomes RGB by repetition, RGB becomes grey by the luma of ITU-R BT.601; another size is resampled
    bilinearly, antialiased, without keeping the aspect.

    Args:
        expected: what the network was trained on.

    Raises:
        ValueError: as `Standardise`; in a call, channels that cannot be converted.
    """

    def __init__(self, expected: NetworkInput) -> None:
        super().__init__(expected.mean, expected.std, expected.shape)
        self.channels, *size = expected.shape
        self.size = size

    def __call__(self, image: Tensor) -> Tensor:
        """(B, C', H', W') uint8 to (B, C, H, W) float32 on the same device."""
        channels = image.shape[1]
        if channels != self.channels:
            if {channels, self.channels} != {GREY, RGB}:
                raise ValueError(
                    f"the images have {channels} channels and the network expects {self.channels}: only grey "
                    "and RGB can be converted, choose another target."
                )
            image = tv.rgb_to_grayscale(image) if channels == RGB else image.expand(-1, RGB, -1, -1)
        if [*image.shape[2:]] != self.size:
            image = tv.resize(image, self.size, antialias=True)
        return super().__call__(image)
