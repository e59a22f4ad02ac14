"""Crop images at random offsets out of a padded copy."""

# B images, C channels, H rows, W columns, P padding

from typing import Literal, get_args

import torch
from torch import Tensor

from ctc_lightning.checks import count, one_of

Mode = Literal["replicate", "zero", "reflect"]


class RandomCrop:
    """Shift every image by its own whole number of pixels.

        out[b, c, y, x] = padded[b, c, y + dy_b, x + dx_b],   dy_b, dx_b uniform on {-P, ..., P}

    where ``padded`` continues the image beyond its border: an H x W crop of it padded by P on each side.

    Args:
        pad: P >= 0, the largest shift in pixels.
        mode: what is beyond the border: "replicate" repeats the border's pixels, "zero" is black, "reflect"
            mirrors the image without repeating the border.

    Raises:
        ValueError: negative ``pad``, unknown ``mode``; when called, an image too small to mirror ``pad``.
    """

    def __init__(self, pad: int, mode: Mode = "replicate") -> None:
        count("crop", least=0, example=4, pad=pad)
        one_of("crop", get_args(Mode), mode=mode)
        self.pad = pad
        self.mode = mode

    def __call__(self, image_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """Crop a batch.

        Args:
            image_BCHW: any dtype; fastest as channels_last.
            generator: on any device; one on the CPU gives the same crops on every device.

        Returns:
            (B, C, H, W) of the same dtype, channels_last.
        """
        B, C, H, W = image_BCHW.shape
        if self.mode == "reflect" and self.pad >= min(H, W):
            raise ValueError(
                f"The crop's pad is {self.pad} pixels, must be below the image's {min(H, W)} to reflect it: "
                "lower it, or choose another mode."
            )
        offset_2B1 = torch.randint(
            -self.pad, self.pad + 1, (2, B, 1), generator=generator, device=generator.device
        )
        dy_B1, dx_B1 = offset_2B1.to(image_BCHW.device, non_blocking=True)
        # Columns are padded in memory, rows by the choice of the row: then a row of a crop is one stretch of
        # memory, and copying stretches is ten times faster than gathering pixels.
        padded = self._pad_columns(image_BCHW.permute(0, 2, 3, 1))
        wide = W + 2 * self.pad
        row_BH = self._rows(torch.arange(H, device=image_BCHW.device) + dy_B1, B, H)
        start_BH = row_BH * wide + dx_B1 + self.pad
        stretches = padded.as_strided((padded.numel() // C - W + 1, W * C), (C, 1))
        return stretches.index_select(0, start_BH.flatten()).view(B, H, W, C).permute(0, 3, 1, 2)

    def _pad_columns(self, pixel_BHWC: Tensor) -> Tensor:
        """(B·H, W + 2P, C); of mode "zero" one row more, a black one."""
        B, H, W, C = pixel_BHWC.shape
        P = self.pad
        if self.mode == "zero":
            padded = pixel_BHWC.new_zeros(B * H + 1, W + 2 * P, C)
            padded[:-1].view(B, H, W + 2 * P, C)[:, :, P : P + W] = pixel_BHWC
            return padded
        padded_BHWC = pixel_BHWC.new_empty(B, H, W + 2 * P, C)
        padded_BHWC[:, :, P : P + W] = pixel_BHWC
        if self.mode == "replicate":
            padded_BHWC[:, :, :P] = pixel_BHWC[:, :, :1]
            padded_BHWC[:, :, P + W :] = pixel_BHWC[:, :, -1:]
        else:
            padded_BHWC[:, :, :P] = pixel_BHWC[:, :, 1 : P + 1].flip(2)
            padded_BHWC[:, :, P + W :] = pixel_BHWC[:, :, W - 1 - P : W - 1].flip(2)
        return padded_BHWC.flatten(0, 1)

    def _rows(self, y_BH: Tensor, num_images: int, height: int) -> Tensor:
        """Where a row, possibly beyond the border, is in what `_pad_columns` returns."""
        first_B1 = torch.arange(num_images, device=y_BH.device)[:, None] * height
        if self.mode == "zero":
            return torch.where((y_BH < 0) | (y_BH >= height), num_images * height, first_B1 + y_BH)
        if self.mode == "replicate":
            return first_B1 + y_BH.clamp(0, height - 1)
        return first_B1 + (height - 1 - (height - 1 - y_BH.abs()).abs())
