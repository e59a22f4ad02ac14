"""Linear filters of rows and columns with weights of each image's own: resizing and blurring."""

# B images, C channels, H rows, W columns; Y, X: rows and columns of the result

import torch
from torch import Tensor

from ctc_lightning.data.augmentation.chance import channels_last
from ctc_lightning.data.augmentation.photometric import levels


def filtered(image_BCHW: Tensor, weight_BYH: Tensor, weight_BXW: Tensor) -> Tensor:
    """out[b, c, y, x] = round( Σ_{h, w} weight_BYH[b, y, h] · weight_BXW[b, x, w] · image[b, c, h, w] ).

    Args:
        image_BCHW: uint8; fastest as channels_last.
        weight_BYH: float32, rows that sum to 1.
        weight_BXW: likewise.

    Returns:
        (B, C, Y, X) uint8, channels_last.
    """
    B, C, H, W = image_BCHW.shape
    Y, X = weight_BYH.shape[1], weight_BXW.shape[1]
    pixels = image_BCHW.permute(0, 2, 3, 1).to(torch.float32).reshape(B, H, W * C)
    # Rows first: in this layout they need no transposed copy.
    half_BYCW = (weight_BYH @ pixels).view(B, Y, W, C).transpose(2, 3)
    out_BYCX = (half_BYCW.reshape(B, Y * C, W) @ weight_BXW.mT).view(B, Y, C, X)
    return channels_last(levels(out_BYCX.round_()).transpose(1, 2))
