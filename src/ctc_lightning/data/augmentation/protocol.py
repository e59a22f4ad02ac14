"""What an augmentation is, and the one that does nothing."""

# B images, C channels, H rows, W columns

from collections.abc import Callable

import torch
from torch import Tensor

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""(B, C, H, W) uint8 and a generator -> (B, C, H, W) uint8, channels_last, one independent draw per image.

All randomness comes from the generator; one on the CPU gives the same draws on every device. The input stays
as it is.
"""


class Identity:
    """The images as they are."""

    def __call__(self, image_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """Return ``image_BCHW`` itself; draws nothing."""
        return image_BCHW
