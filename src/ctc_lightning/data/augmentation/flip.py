"""Mirror images left to right."""

# B images, C channels, H rows, W columns

import torch
from torch import Tensor

from ctc_lightning.data.augmentation.chance import require_probability, sometimes


class HorizontalFlip:
    """Mirror each image with a probability.

    Args:
        probability: in [0, 1].

    Raises:
        ValueError: a probability out of range.
    """

    def __init__(self, probability: float = 0.5) -> None:
        self.probability = require_probability("HorizontalFlip", probability)

    def __call__(self, image_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """(B, C, H, W) of any dtype -> the same, channels_last."""
        return sometimes(image_BCHW, self.probability, generator, lambda some_MCHW, _: some_MCHW.flip(3))
