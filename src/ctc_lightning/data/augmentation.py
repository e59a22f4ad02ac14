"""Augmentations of a whole batch at once, on its device, from a generator of the caller's."""

# B images, C channels, H rows, W columns

from collections.abc import Callable

import torch
from torch import Tensor

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""(B, C, H, W) uint8 and a generator -> (B, C, H, W) uint8, one independent draw per image."""


class Identity:
    """The images as they are."""

    def __call__(self, image_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """Return ``image_BCHW`` itself; draws nothing."""
        return image_BCHW


class RandomCrop:
    """Shift every image by its own whole number of pixels, repeating its border.

        out[b, c, y, x] = image[b, c, clamp(y + dy_b, 0, H-1), clamp(x + dx_b, 0, W-1)],
        dy_b, dx_b uniform on {-pad, ..., pad}

    which is replicate padding by ``pad`` and a random H x W crop, without the padded copy.

    Args:
        pad: >= 0, the largest shift in pixels.

    Raises:
        ValueError: negative ``pad``.
    """

    def __init__(self, pad: int) -> None:
        if pad < 0:
            raise ValueError(f"The crop's pad is {pad} pixels, must be 0 or more: set it to 0 for no crop.")
        self.pad = pad

    def __call__(self, image_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """Crop a batch.

        Args:
            image_BCHW: any dtype; fastest as channels_last.
            generator: on any device; one on the CPU gives the same crops on every device.

        Returns:
            (B, C, H, W) of the same dtype, channels_last.
        """
        B, C, H, W = image_BCHW.shape
        offset_2B1 = torch.randint(
            -self.pad, self.pad + 1, (2, B, 1), generator=generator, device=generator.device
        )
        dy_B1, dx_B1 = offset_2B1.to(image_BCHW.device)
        image_B, row_H, column_W = (torch.arange(n, device=image_BCHW.device) for n in (B, H, W))
        row_BH = (row_H + dy_B1).clamp_(0, H - 1)
        column_BW = (column_W + dx_B1).clamp_(0, W - 1)
        pixel_BHW = (image_B[:, None, None] * H + row_BH[:, :, None]) * W + column_BW[:, None, :]
        # One gather of whole pixels: half the time of indexing with (b, :, y, x).
        pixels_C = image_BCHW.permute(0, 2, 3, 1).reshape(B * H * W, C)
        return pixels_C.index_select(0, pixel_BHW.flatten()).view(B, H, W, C).permute(0, 3, 1, 2)
