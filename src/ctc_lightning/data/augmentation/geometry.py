"""Move pixels: each image by an affine map of its own, nearest neighbour, black outside."""

# M images, C channels, H rows, W columns

import torch
from torch import Tensor


def warped(image_MCHW: Tensor, matrix_M23: Tensor) -> Tensor:
    """out[m, :, y, x] = image[m, :, y', x'], rounded to a pixel, or 0 outside of the image.

    Args:
        image_MCHW: uint8; fastest as channels_last.
        matrix_M23: maps (x, y, 1) to (x', y'), in pixels from the image's centre; float32.

    Returns:
        uint8, channels_last.
    """
    M, C, H, W = image_MCHW.shape
    device = image_MCHW.device
    x_W, y_H1 = (torch.arange(n, device=device, dtype=torch.float32) - (n - 1) / 2 for n in (W, H))
    y_H1 = y_H1[:, None]
    # Halfway between two pixels rounding decides: so this follows torchvision operation by operation, which
    # goes through coordinates in [-1, 1].
    half_21 = torch.stack([torch.full((1,), 0.5 * n, device=device) for n in (W, H)])  # no copy from the host
    unit_23M11 = (matrix_M23 / half_21).permute(1, 2, 0)[..., None, None]
    x_MHW, y_MHW = (
        (x_W * by_x + y_H1 * by_y).add_(shift).add_(1).mul_(n).sub_(1).mul_(0.5).round_()
        for (by_x, by_y, shift), n in zip(unit_23M11, (W, H), strict=True)
    )
    # A black border of one pixel stands for all that is outside.
    x_MHW, y_MHW = x_MHW.clamp_(-1, W).add_(1), y_MHW.clamp_(-1, H).add_(1)
    first_M11 = torch.arange(M, device=device)[:, None, None] * ((H + 2) * (W + 2))
    pixel_MHW = y_MHW.mul_(W + 2).add_(x_MHW).long().add_(first_M11)
    bordered = image_MCHW.new_zeros(M, H + 2, W + 2, C)
    bordered[:, 1:-1, 1:-1] = image_MCHW.permute(0, 2, 3, 1)
    moved = bordered.view(-1, C).index_select(0, pixel_MHW.flatten())
    return moved.view(M, H, W, C).permute(0, 3, 1, 2)


def matrices(
    height: int,
    width: int,
    /,
    *,
    shear_x: Tensor,
    shear_y: Tensor,
    translate_x: Tensor,
    translate_y: Tensor,
    rotate: Tensor,
) -> Tensor:
    """(M, 2, 3): what `warped` needs to move each of M images of this size by one of these amounts.

    Args:
        height: H.
        width: W.
        shear_x: (M,) pixels by which rows slide for each pixel below the upper edge; 0: they don't.
        shear_y: likewise columns, right of the left edge.
        translate_x: to the right, in pixels, fractions dropped.
        translate_y: downwards.
        rotate: degrees counter-clockwise about the centre.
    """
    angle_M = torch.deg2rad(rotate)
    cos_M, sin_M = angle_M.cos(), angle_M.sin()
    x = [cos_M, shear_x - sin_M, shear_x * (height / 2) - translate_x.trunc()]
    y = [shear_y + sin_M, cos_M, shear_y * (width / 2) - translate_y.trunc()]
    return torch.stack([*x, *y], dim=1).view(-1, 2, 3)
