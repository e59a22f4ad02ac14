"""What single augmentations do to pixel values, each image by its own amount, as torchvision's do to one."""

# M images, C channels, H rows, W columns

import torch
from torch import Tensor


def grey(image_MCHW: Tensor) -> Tensor:
    """(M, 1, H, W) float32: luma by ITU-R BT.601, rounded down; of one channel that channel."""
    if image_MCHW.shape[1] == 1:
        return image_MCHW.to(torch.float32)
    red, green, blue = image_MCHW.to(torch.float32).unbind(1)
    return (0.2989 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114).floor_().unsqueeze(1)


def blend(image_MCHW: Tensor, other: Tensor, factor_M: Tensor) -> Tensor:
    """Factor · image + (1 - factor) · other, within [0, 255] and rounded down."""
    factor_M111 = factor_M.view(-1, 1, 1, 1)
    weight_M111, rest_M111 = factor_M111.to(torch.float32), (1 - factor_M111).to(torch.float32)
    mixed_MCHW = (image_MCHW * weight_M111).add_(other * rest_M111)
    return mixed_MCHW.clamp_(0, 255).to(torch.uint8)


def brightness(image_MCHW: Tensor, factor_M: Tensor) -> Tensor:
    """Blend with black."""
    return (image_MCHW * factor_M.view(-1, 1, 1, 1).to(torch.float32)).clamp_(0, 255).to(torch.uint8)


def contrast(image_MCHW: Tensor, factor_M: Tensor) -> Tensor:
    """Blend with the image's mean grey."""
    return blend(image_MCHW, grey(image_MCHW).mean((1, 2, 3), keepdim=True), factor_M)


def saturation(image_MCHW: Tensor, factor_M: Tensor) -> Tensor:
    """Blend with the grey image; grey images stay."""
    return image_MCHW if image_MCHW.shape[1] == 1 else blend(image_MCHW, grey(image_MCHW), factor_M)


def hue(image_MCHW: Tensor, turn_M: Tensor) -> Tensor:
    """Turn the hue by parts of the colour circle, in [-1/2, 1/2]; grey images stay.

    With hue h in sixths of the circle, value v and range r (largest minus smallest channel), a channel is

        v - r · clamp(min(k, 4 - k), 0, 1),   k = (n + h) mod 6,   n = 5, 3, 1 for red, green, blue.
    """
    if image_MCHW.shape[1] == 1:
        return image_MCHW
    red, green, blue = image_MCHW.to(torch.float32).unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    range_ = value - torch.minimum(torch.minimum(red, green), blue)
    sixths = torch.where(
        value == red,
        green - blue,
        torch.where(value == green, (blue - red).add_(range_, alpha=2), (red - green).add_(range_, alpha=4)),
    )
    sixths /= range_.clamp(min=1)  # without a range there is no hue, and k does not matter
    sixths += 6 * turn_M.view(-1, 1, 1).to(torch.float32)
    turned = torch.empty(image_MCHW.shape, dtype=torch.uint8, device=image_MCHW.device)
    for channel, n in enumerate((5, 3, 1)):
        k = (sixths + n).remainder_(6)
        lowered = torch.minimum(k, 4 - k).clamp_(0, 1).mul_(range_)
        # 255.999 / 255 before rounding down, as torchvision returns from [0, 1].
        turned[:, channel] = (value - lowered).mul_(255.999 / 255)
    return turned


def solarize(image_MCHW: Tensor, threshold_M: Tensor) -> Tensor:
    """Invert the values from the threshold upwards."""
    bright = image_MCHW >= threshold_M.view(-1, 1, 1, 1).to(torch.float32)
    return torch.where(bright, image_MCHW.bitwise_not(), image_MCHW)


def posterize(image_MCHW: Tensor, bits_M: Tensor) -> Tensor:
    """Keep the highest bits, 0 to 8 of them."""
    mask_M = 256 - 2 ** (8 - bits_M.trunc())
    return image_MCHW & mask_M.view(-1, 1, 1, 1).to(torch.uint8)


def invert(image_MCHW: Tensor) -> Tensor:
    """255 - image."""
    return image_MCHW.bitwise_not()


def autocontrast(image_MCHW: Tensor) -> Tensor:
    """Stretch each channel to [0, 255]; a constant channel stays."""
    low, high = (
        extreme((2, 3), keepdim=True).to(torch.float32) for extreme in (image_MCHW.amin, image_MCHW.amax)
    )
    constant = low == high
    scale = torch.where(constant, 1.0, (high - low) * (1 / 255))
    shifted_MCHW = image_MCHW - torch.where(constant, 0.0, low)
    return shifted_MCHW.div_(scale).clamp_(0, 255).to(torch.uint8)


def equalize(image_MCHW: Tensor) -> Tensor:
    """Spread each channel's histogram evenly, by Pillow's integer rule.

    With the number of pixels below each value n(v) and step = (pixels not of the largest value) // 255,

        out = min(255, (n(v) + step // 2) // step);   a channel with step 0 stays.
    """
    M, C, H, W = image_MCHW.shape
    channel_M1C = torch.arange(M * C, device=image_MCHW.device).view(M, 1, C) * 256
    # In the layout of the images in memory.
    bin_MPC = image_MCHW.permute(0, 2, 3, 1).reshape(M, H * W, C) + channel_M1C
    bins = bin_MPC.flatten()
    count = bins.new_zeros(M * C * 256, dtype=torch.int32)
    count.scatter_add_(0, bins, torch.ones((), dtype=torch.int32, device=bins.device).expand(len(bins)))
    count_KV = count.view(M * C, 256)
    up_to_KV = count_KV.cumsum(1)
    largest_K1 = up_to_KV.argmax(1, keepdim=True)
    step_K1 = (H * W - count_KV.gather(1, largest_K1)) // 255
    spread_KV = (up_to_KV - count_KV + step_K1 // 2) // step_K1.clamp(min=1)
    value_V = torch.arange(256, device=bins.device)
    table_KV = torch.where(step_K1 == 0, value_V, spread_KV.clamp_(max=255)).to(torch.uint8)
    return table_KV.flatten().index_select(0, bins).view(M, H, W, C).permute(0, 3, 1, 2)


def sharpness(image_MCHW: Tensor, factor_M: Tensor) -> Tensor:
    """Blend with a smoothed image (3 x 3, the centre weighs 5, its neighbours 1); the border stays."""
    H, W = image_MCHW.shape[2:]
    if H <= 2 or W <= 2:
        return image_MCHW
    value_MCHW = image_MCHW.to(torch.int16)
    rows_MCHW = value_MCHW[:, :, :-2] + value_MCHW[:, :, 1:-1] + value_MCHW[:, :, 2:]
    inner_MCHW = value_MCHW[:, :, 1:-1, 1:-1]
    total_MCHW = rows_MCHW[..., :-2] + rows_MCHW[..., 1:-1] + rows_MCHW[..., 2:] + 4 * inner_MCHW
    smooth_MCHW = (total_MCHW.to(torch.float32) * (1 / 13)).round_()
    sharp_MCHW = image_MCHW.clone(memory_format=torch.preserve_format)
    sharp_MCHW[:, :, 1:-1, 1:-1] = blend(inner_MCHW, smooth_MCHW, factor_M)
    return sharp_MCHW
