"""Which images of a batch an augmentation changes, and changing only those."""

# B images, M of them chosen; C channels, H rows, W columns

from collections.abc import Callable

import torch
from torch import Tensor


def require_probability(owner: str, probability: float) -> float:
    """The probability itself; a ValueError if it is none."""
    if not 0 <= probability <= 1:
        raise ValueError(
            f"{owner}'s probability is {probability}, must be between 0 and 1: set 0 for never, 1 for always."
        )
    return probability


def uniform(generator: torch.Generator, *shape: int) -> Tensor:
    """Float32 uniform on [0, 1), on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device)


def choose(num_images: int, probability: float, generator: torch.Generator) -> Tensor:
    """(M,) int64: the images that an event of this probability happens to, on the generator's device."""
    return (uniform(generator, num_images) < probability).nonzero()[:, 0]


def copied(image_BCHW: Tensor) -> Tensor:
    """A copy to `change`, channels_last."""
    return image_BCHW.clone(memory_format=torch.channels_last)


def change(image_BCHW: Tensor, row_M: Tensor, kernel: Callable[..., Tensor], *of_each: Tensor) -> None:
    """Overwrite some images of a channels_last batch by what a kernel makes of them.

    Args:
        image_BCHW: changed in place.
        row_M: int64, which images. On the CPU, where their number is known without waiting for a GPU.
        kernel: (M, C, H, W) and ``of_each`` -> images of the same shape and dtype.
        of_each: (M, ...) what the kernel needs to know of each of these images.
    """
    if len(row_M) == 0:
        return
    row_M, *of_each_M = (t.to(image_BCHW.device, non_blocking=True) for t in (row_M, *of_each))
    # Whole images are copied as one stretch of memory each: ten times faster than indexing.
    pixel_BHWC = image_BCHW.permute(0, 2, 3, 1)
    some_MCHW = pixel_BHWC.index_select(0, row_M).permute(0, 3, 1, 2)
    pixel_BHWC.index_copy_(0, row_M, kernel(some_MCHW, *of_each_M).permute(0, 2, 3, 1))
