"""Augmentations of a whole batch at once, on its device, from a generator of the caller's."""

from ctc_lightning.data.augmentation.blur import GaussianBlur
from ctc_lightning.data.augmentation.colour import ColourJitter, Grayscale, Solarize
from ctc_lightning.data.augmentation.compose import Compose, split_crop
from ctc_lightning.data.augmentation.crop import RandomCrop
from ctc_lightning.data.augmentation.flip import HorizontalFlip
from ctc_lightning.data.augmentation.protocol import Augmentation, Identity
from ctc_lightning.data.augmentation.resized_crop import RandomResizedCrop

__all__ = [
    "Augmentation",
    "ColourJitter",
    "Compose",
    "GaussianBlur",
    "Grayscale",
    "HorizontalFlip",
    "Identity",
    "RandomCrop",
    "RandomResizedCrop",
    "Solarize",
    "split_crop",
]
