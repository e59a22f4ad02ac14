"""What single augmentations do to pixel values, each image by its own amount, as torchvision's do to one."""

# M images, C channels, H rows, W columns

from collections.abc import Callable

import torch
from torch import Tensor

Operation = Callable[[Tensor, Tensor], Tensor]
"""(M, C, H, W) uint8 and (M,) float32 amounts -> uint8 of the same shape."""


def levels(value: Tensor) -> Tensor:
    """Floats in [0, 256) rounded down to uint8; by way of int16, four times faster than directly."""
    return value.to(torch.int16).to(torch.uint8)


def grey(image_MCHW: Tensor) -> Tensor:
    """(M, 1, H, W) float32: luma by ITU-R BT.601, rounded down; of one channel that channel."""
    if image_MCHW.shape[1] == 1:
        return image_MCHW.to(torch.float32)
    red, green, blue = image_MCHW.to(torch.float32).unbind(1)
    return (0.2989 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114).floor_().unsqueeze(1)


def blend(image_MCHW: Tensor, other: Tensor, factor_M: Tensor) -> Tensor:
    """Factor · image + (1 - factor) · other, within [0, 255] and rounded down."""
    factor_M111 = factor_M.view(-1, 1, 1, 1)
    mixed_MCHW = (image_MCHW * factor_M111).add_(other * (1 - factor_M111))
    return levels(mixed_MCHW.clamp_(0, 255))


def brightness(image_MCHW: Tensor, factor_M: Tensor) -> Tensor:
    """Blend with black."""
    return levels((image_MCHW * factor_M.view(-1, 1, 1, 1)).clamp_(0, 255))


def contrast(image_MCHW: Tensor, factor_M: Tensor) -> Tensor:
    """Blend with the image's mean grey."""
    return blend(image_MCHW, grey(image_MCHW).mean((1, 2, 3), keepdim=True), factor_M)


def saturation(image_MCHW: Tensor, factor_M: Tensor) -> Tensor:
    """Blend with the grey image; grey images stay."""
    return image_MCHW if image_MCHW.shape[1] == 1 else blend(image_MCHW, grey(image_MCHW), factor_M)


def hue(image_MCHW: Tensor, turn_M: Tensor) -> Tensor:
    """Turn the hue by parts of the colour circle, in [-1/2, 1/2]; grey images stay.

    With hue h in sixths of the circle, value v, range r (largest minus smallest channel) and n = 0, 2, 4 for
    red, green, blue, a channel becomes

        v - r · clamp(d - 1, 0, 1),   d = |h - n| around the circle, 3 - ||h - n| - 3|.
    """
    if image_MCHW.shape[1] == 1:
        return image_MCHW
    red, green, blue = (plane.to(torch.float32) for plane in image_MCHW.unbind(1))
    value = torch.maximum(torch.maximum(red, green), blue)
    range_ = value - torch.minimum(torch.minimum(red, green), blue)
    # Choosing by lerp with weights 0 and 1 is exact, and on the CPU several times faster than where.
    sixths = (red - green).add_(range_, alpha=4)
    sixths.lerp_((blue - red).add_(range_, alpha=2), (value == green).to(torch.float32))
    sixths.lerp_(green - blue, (value == red).to(torch.float32))
    sixths /= range_.clamp(min=1)  # without a range there is no hue, and h does not matter
    sixths += 6 * turn_M.view(-1, 1, 1)
    sixths -= (sixths / 6).floor_().mul_(6)
    planes = []
    for n in (0, 2, 4):
        beyond = (sixths - n).abs_().sub_(3).abs_().neg_().add_(2).clamp_(0, 1)
        # 255.999 / 255 before rounding down, as torchvision returns from [0, 1].
        planes.append(levels(value.addcmul(beyond, range_, value=-1).mul_(255.999 / 255)))
    return torch.stack(planes, dim=-1).permute(0, 3, 1, 2)


def solarize(image_MCHW: Tensor, threshold_M: Tensor) -> Tensor:
    """Invert the values from the threshold, in [0, 255], upwards."""
    bright_MCHW = image_MCHW >= threshold_M.ceil().view(-1, 1, 1, 1).to(torch.uint8)
    return image_MCHW ^ bright_MCHW.to(torch.uint8).neg_()  # all bits where bright


def posterize(image_MCHW: Tensor, bits_M: Tensor) -> Tensor:
    """Keep the highest bits, 0 to 8 of them."""
    mask_M = 256 - 2 ** (8 - bits_M.trunc())
    return image_MCHW & mask_M.view(-1, 1, 1, 1).to(torch.uint8)


def invert(image_MCHW: Tensor, _: Tensor) -> Tensor:
    """255 - image."""
    return image_MCHW.bitwise_not()


def autocontrast(image_MCHW: Tensor, _: Tensor) -> Tensor:
    """Stretch each channel to [0, 255]; a constant channel stays."""
    M, C, H, W = image_MCHW.shape
    row_MHK = image_MCHW.permute(0, 2, 3, 1).reshape(M, H, W * C)
    low_MC, high_MC = row_MHK.amin(1).view(M, W, C).amin(1), row_MHK.amax(1).view(M, W, C).amax(1)
    constant_MC = low_MC == high_MC
    scale_MC = ((high_MC - low_MC) * (1 / 255)).masked_fill_(constant_MC, 1)
    low_MC = low_MC.to(torch.float32).masked_fill_(constant_MC, 0)
    # A value for every column and channel: several times faster than broadcasting over the columns.
    low_M1K, scale_M1K = (value_MC.repeat(1, W).unsqueeze(1) for value_MC in (low_MC, scale_MC))
    stretched_MHK = (row_MHK - low_M1K).div_(scale_M1K).clamp_(0, 255)
    return levels(stretched_MHK).view(M, H, W, C).permute(0, 3, 1, 2)


def equalize(image_MCHW: Tensor, _: Tensor) -> Tensor:
    """Spread each channel's histogram evenly, by Pillow's integer rule.

    With the number of pixels below each value n(v) and step = (pixels not of the largest value) // 255,

        out = min(255, (n(v) + step // 2) // step);   a channel with step 0 stays.
    """
    M, C, H, W = image_MCHW.shape
    # A bin for each image, channel and value, in the order of the pixels in memory.
    first_M1K = (torch.arange(M * C, device=image_MCHW.device) * 256).view(M, 1, C).repeat(1, 1, W)
    bins = (image_MCHW.permute(0, 2, 3, 1).reshape(M, H, W * C) + first_M1K).flatten()
    count = torch.zeros(M * C * 256, dtype=torch.int32, device=bins.device)
    count.scatter_add_(0, bins, torch.ones((), dtype=torch.int32, device=bins.device).expand(len(bins)))
    count_KV = count.view(M * C, 256)
    up_to_KV = count_KV.cumsum(1)
    step_K1 = (H * W - count_KV.gather(1, up_to_KV.argmax(1, keepdim=True))) // 255
    # Quotients of float32, of counts below 2^23, are exact enough to round down; those of integers are slow.
    below_KV = (up_to_KV - count_KV + step_K1 // 2).to(torch.float32)
    spread_KV = (below_KV / step_K1.clamp(min=1)).floor_().clamp_(max=255).to(torch.uint8)
    value_V = torch.arange(256, dtype=torch.uint8, device=bins.device)
    table_KV = torch.where(step_K1 == 0, value_V, spread_KV)
    return table_KV.flatten().index_select(0, bins).view(M, H, W, C).permute(0, 3, 1, 2)


def sharpness(image_MCHW: Tensor, factor_M: Tensor) -> Tensor:
    """Blend with a smoothed image (3 x 3, the centre weighs 5, its neighbours 1); the border stays."""
    M, C, H, W = image_MCHW.shape
    if H <= 2 or W <= 2:
        return image_MCHW
    row_MHK = image_MCHW.permute(0, 2, 3, 1).reshape(M, H, W * C).to(torch.float32)
    sum_MHK = row_MHK[:, :-2] + row_MHK[:, 1:-1] + row_MHK[:, 2:]
    sum_MHK = sum_MHK[..., : -2 * C] + sum_MHK[..., C:-C] + sum_MHK[..., 2 * C :]
    inner_MHK = row_MHK[:, 1:-1, C:-C]
    smooth_MHK = sum_MHK.add_(inner_MHK, alpha=4).mul_(1 / 13).round_()
    factor_M11 = factor_M.view(-1, 1, 1)
    inner_MHK.mul_(factor_M11).add_(smooth_MHK * (1 - factor_M11))
    return levels(row_MHK.clamp_(0, 255)).view(M, H, W, C).permute(0, 3, 1, 2)
