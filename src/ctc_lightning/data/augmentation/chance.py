"""Which images of a batch an augmentation changes, and changing each of them by its own kernel."""

# B images, M of them in a group; C channels, H rows, W columns

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ctc_lightning.checks import in_range

Kernel = Callable[[Tensor, Tensor], Tensor]
"""(M, C, H, W) images and (M,) int64, their rows in the batch, where the draws are -> (M, C, H, W)."""


def require_probability(owner: str, probability: float) -> float:
    """The probability itself; a ValueError if it is none."""
    in_range(owner, "[0, 1]", example=0.5, probability=probability)
    return probability


def uniform(generator: torch.Generator, *shape: int) -> Tensor:
    """Float32 uniform on [0, 1), on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device)


def channels_last(image_BCHW: Tensor) -> Tensor:
    """The images, channels_last in memory; converted plane by plane, twice as fast as ``contiguous``."""
    if image_BCHW.is_contiguous(memory_format=torch.channels_last):
        return image_BCHW
    return torch.stack(image_BCHW.unbind(1), dim=-1).permute(0, 3, 1, 2)


def changed(image_BCHW: Tensor, group_B: Tensor, kernels: Mapping[int, Kernel]) -> Tensor:
    """The batch with each group of images put through a kernel.

    Images are sorted by group, so that groups are slices, whose sizes are known without waiting for a GPU if
    the draws are on the CPU; whole images move as one stretch of memory, ten times faster than by indexing.

    Args:
        image_BCHW: stays as it is.
        group_B: int64, each image's group, where the draws are.
        kernels: of groups; the images of other groups stay.

    Returns:
        (B, C, H, W), channels_last.
    """
    order_B = group_B.argsort()
    group, count = group_B.unique(return_counts=True)
    pixel_BHWC = channels_last(image_BCHW).permute(0, 2, 3, 1)
    sorted_BHWC = pixel_BHWC.index_select(0, order_B.to(image_BCHW.device, non_blocking=True))
    sizes = count.tolist()
    parts = []
    for number, some_MHWC, row_M in zip(
        group.tolist(), sorted_BHWC.split(sizes), order_B.split(sizes), strict=True
    ):
        if number in kernels:
            made_MCHW = kernels[number](some_MHWC.permute(0, 3, 1, 2), row_M)
            parts.append(channels_last(made_MCHW).permute(0, 2, 3, 1))
        else:
            parts.append(some_MHWC)
    back_B = order_B.argsort().to(image_BCHW.device, non_blocking=True)
    return torch.cat(parts).index_select(0, back_B).permute(0, 3, 1, 2)


def sometimes(image_BCHW: Tensor, probability: float, generator: torch.Generator, kernel: Kernel) -> Tensor:
    """The batch with each image put through the kernel with a probability, channels_last."""
    happens_B = uniform(generator, len(image_BCHW)) < probability
    return changed(image_BCHW, happens_B.long(), {1: kernel})
