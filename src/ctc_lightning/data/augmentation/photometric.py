"""What single augmentations do to pixel values, each image by its own amount, as torchvision's do to one."""

# M images, C channels, H rows, W columns

import torch
from torch import Tensor


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
