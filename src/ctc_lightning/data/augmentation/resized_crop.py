"""Crop a random part of an image and resize it."""

# B images, A attempts, C channels, H rows, W columns; Y, X: rows and columns of the result

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ctc_lightning.checks import count
from ctc_lightning.data.augmentation.chance import uniform
from ctc_lightning.data.augmentation.separable import filtered

ATTEMPTS = 10


class RandomResizedCrop:
    """A box of random area, aspect ratio and place, resized.

    area / (H·W) uniform on ``scale``, log(width / height) uniform on log ``ratio``, redrawn up to ten times
    while the box does not fit, then the largest central box of an allowed ratio; one that fits has a uniform
    place. That is the law of torchvision's class of this name. Resizing is bilinear with antialiasing.

    Args:
        size: >= 1, rows and columns of the result; None: those of the images.
        scale: smallest and largest area, in parts of the image, 0 < smallest <= largest <= 1.
        ratio: smallest and largest width / height, 0 < smallest <= largest.

    Raises:
        ValueError: a value out of its range.
    """

    def __init__(
        self,
        size: int | None = None,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
    ) -> None:
        count("RandomResizedCrop", null=True, example=224, size=size)
        if len(scale) != 2 or not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError(
                f"RandomResizedCrop's scale is {list(scale)}, must be two rising parts of the image's area "
                "above 0 and at most 1: give for example [0.08, 1]."
            )
        if len(ratio) != 2 or not 0 < ratio[0] <= ratio[1]:
            raise ValueError(
                f"RandomResizedCrop's ratio is {list(ratio)}, must be two rising numbers above 0: "
                "give for example [0.75, 1.33]."
            )
        self.size = size
        self.scale = (float(scale[0]), float(scale[1]))
        self.ratio = (float(ratio[0]), float(ratio[1]))

    def boxes(self, height_B: Tensor, width_B: Tensor, generator: torch.Generator) -> Tensor:
        """Draw what to crop out of images of any sizes.

        Args:
            height_B: (B,) integers, on the generator's device.
            width_B: likewise.
            generator: each image takes 22 draws from it.

        Returns:
            (B, 4) int64: top, left, height, width.
        """
        B = len(height_B)
        height_BA, width_BA = height_B.double()[:, None], width_B.double()[:, None]
        draw_2BA = uniform(generator, 2, B, ATTEMPTS).double()
        (low, high), (narrow, wide) = self.scale, self.ratio
        area_BA = height_BA * width_BA * (low + (high - low) * draw_2BA[0])
        ratio_BA = torch.exp(math.log(narrow) + (math.log(wide) - math.log(narrow)) * draw_2BA[1])
        w_BA, h_BA = (area_BA * ratio_BA).sqrt().round(), (area_BA / ratio_BA).sqrt().round()
        fits_BA = (w_BA > 0) & (w_BA <= width_BA) & (h_BA > 0) & (h_BA <= height_BA)
        first_B1 = fits_BA.to(torch.uint8).argmax(1, keepdim=True)
        fits_B = fits_BA.any(1)
        # Without a fit: the whole image, cut to the nearest allowed ratio, in its middle.
        width, height = width_BA[:, 0], height_BA[:, 0]
        w_B = torch.where(fits_B, w_BA.gather(1, first_B1)[:, 0], width.minimum((height * wide).round()))
        h_B = torch.where(fits_B, h_BA.gather(1, first_B1)[:, 0], height.minimum((width / narrow).round()))
        spare_2B = torch.stack([height - h_B, width - w_B])
        place_2B = uniform(generator, 2, B).double()
        drawn_2B = (place_2B * (spare_2B + 1)).floor().minimum(spare_2B)
        top_B, left_B = torch.where(fits_B, drawn_2B, (spare_2B / 2).floor())
        return torch.stack([top_B, left_B, h_B, w_B], dim=1).long()

    def __call__(self, image_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """(B, C, H, W) uint8 -> (B, C, size, size) uint8, channels_last."""
        B, _, H, W = image_BCHW.shape
        height_B, width_B = (torch.full((B,), n, device=generator.device) for n in (H, W))
        box_B4 = self.boxes(height_B, width_B, generator).to(image_BCHW.device, non_blocking=True)
        return resized(image_BCHW, box_B4, self.size or H, self.size or W)


def resized(image_BCHW: Tensor, box_B4: Tensor, height: int, width: int) -> Tensor:
    """The boxes (top, left, height, width), each resized to ``height`` x ``width``: uint8, channels_last."""
    H, W = image_BCHW.shape[2:]
    top_B, left_B, h_B, w_B = box_B4.unbind(1)
    weight_BYH, weight_BXW = _triangles(top_B, h_B, H, height), _triangles(left_B, w_B, W, width)
    return filtered(image_BCHW, weight_BYH, weight_BXW)


def _triangles(begin_B: Tensor, length_B: Tensor, num_pixels: int, size: int) -> Tensor:
    """(B, size, num_pixels) weights of a segment's pixels in each of the ``size`` that it is resized to.

    A result's centre lies at (s + 1/2) · length / size; a pixel weighs max(0, 1 - distance / reach), where
    the reach is one pixel of the coarser grid; weights are normalised to sum to 1.
    """
    pixel = torch.arange(num_pixels, device=begin_B.device)
    scale_B = length_B.to(torch.float32) / size
    centre_BS = scale_B[:, None] * (torch.arange(size, device=begin_B.device) + 0.5)
    place_BH = pixel - begin_B[:, None]
    distance_BSH = (place_BH[:, None, :] + 0.5 - centre_BS[:, :, None]).abs_()
    weight_BSH = (1 - distance_BSH / scale_B.clamp(min=1)[:, None, None]).clamp_(min=0)
    weight_BSH *= ((place_BH >= 0) & (place_BH < length_B[:, None]))[:, None, :]
    return weight_BSH / weight_BSH.sum(2, keepdim=True)
