"""RandAugment: a few operations in a row, all of the same strength."""

# B images, C channels, H rows, W columns, O operations

from functools import cache

import torch
from torch import Tensor

from ctc_lightning.data.augmentation.chance import channels_last, uniform
from ctc_lightning.data.augmentation.operations import NAMES, SIGNED, applied, magnitudes

CHOICES = tuple(n for n in NAMES if n != "Invert")


class RandAugment:
    """For each image ``num_ops`` operations, drawn uniformly and with replacement out of fourteen.

    Magnitudes, signs, nearest neighbour and black outside are those of torchvision's class of this name
    (Cubuk et al., arXiv 1909.13719). For colour and grey images.

    Args:
        num_ops: >= 0, how many operations one after another.
        magnitude: which bin of ``num_magnitude_bins``, counted from 0: 0 is the weakest.
        num_magnitude_bins: >= 2, how finely the strengths are divided.

    Raises:
        ValueError: a value out of its range.
    """

    def __init__(self, num_ops: int = 2, magnitude: int = 9, num_magnitude_bins: int = 31) -> None:
        if num_ops < 0:
            raise ValueError(f"RandAugment's num_ops is {num_ops}, must be 0 or more: 2 is usual.")
        if num_magnitude_bins < 2:
            raise ValueError(
                f"RandAugment's num_magnitude_bins is {num_magnitude_bins}, must be 2 or more: 31 is usual."
            )
        if not 0 <= magnitude < num_magnitude_bins:
            raise ValueError(
                f"RandAugment's magnitude is {magnitude}, must be 0 to {num_magnitude_bins - 1}: "
                "lower it, or raise num_magnitude_bins."
            )
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins

    def __call__(self, image_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """(B, C, H, W) uint8 -> the same, channels_last."""
        B, _, H, W = image_BCHW.shape
        device = generator.device
        operation_O = torch.tensor([NAMES.index(name) for name in CHOICES], device=device)
        amount_O = _amounts(self.num_magnitude_bins, self.magnitude, H, W).to(device)
        image_BCHW = channels_last(image_BCHW)
        for _ in range(self.num_ops):
            choice_B = torch.randint(len(CHOICES), (B,), generator=generator, device=device)
            operation_B, amount_B = operation_O[choice_B], amount_O[choice_B]
            negative_B = (uniform(generator, B) < 0.5) & SIGNED.to(device)[operation_B]
            image_BCHW = applied(image_BCHW, operation_B, torch.where(negative_B, -amount_B, amount_B))
        return image_BCHW


@cache
def _amounts(num_bins: int, level: int, height: int, width: int) -> Tensor:
    """(O,) float64 for images of this size."""
    return torch.stack([magnitudes(name, num_bins, height, width)[level] for name in CHOICES])
