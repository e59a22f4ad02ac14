"""Augmentations one after another, and what of them happens before images become a batch."""

# B images, C channels, H rows, W columns

import torch
from torch import Tensor

from ctc_lightning.data.augmentation.protocol import Augmentation, Identity
from ctc_lightning.data.augmentation.resized_crop import RandomResizedCrop


class Compose:
    """The steps in their order, each drawing after the one before it.

    Args:
        steps: the augmentations.
        named: further ones. A configuration names its steps, so that one of them can be set from the command
            line: ``data.augmentation.crop.pad=2``, or ``data.augmentation.flip=null`` to leave it out.

    Raises:
        ValueError: a step that is no augmentation.
    """

    def __init__(self, *steps: Augmentation | None, **named: Augmentation | None) -> None:
        self.steps = tuple(step for step in (*steps, *named.values()) if step is not None)
        for step in self.steps:
            if not callable(step):
                raise ValueError(  # noqa: TRY004  for users
                    f"A step is {step!r}, must be an augmentation or null: give it a _target_."
                )

    def __call__(self, image_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """Augment a (B, C, H, W) uint8 batch."""
        for step in self.steps:
            image_BCHW = step(image_BCHW, generator)
        return image_BCHW


def split_crop(augmentation: Augmentation) -> tuple[RandomResizedCrop | None, Augmentation]:
    """The resized crop that it begins with, or None, and the rest.

    Files that are decoded when they are needed have different sizes: the loader's workers crop each of them,
    everything after that runs on the whole batch.
    """
    if isinstance(augmentation, RandomResizedCrop):
        return augmentation, Identity()
    if isinstance(augmentation, Compose) and augmentation.steps:
        crop, rest = split_crop(augmentation.steps[0])
        if crop is not None:
            return crop, Compose(rest, *augmentation.steps[1:])
    return None, augmentation
