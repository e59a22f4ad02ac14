"""Data modules and whole-batch augmentation: the choices of ``conf/data``."""

from ctc_lightning.data.augmentation import (
    Augmentation,
    ColourJitter,
    Compose,
    GaussianBlur,
    Grayscale,
    HorizontalFlip,
    Identity,
    RandomCrop,
    RandomResizedCrop,
    Solarize,
)
from ctc_lightning.data.cached import CachedDataModule
from ctc_lightning.data.collection import Collection
from ctc_lightning.data.data_module import ImageDataModule
from ctc_lightning.data.digits import Digits
from ctc_lightning.data.from_files import FileDataModule
from ctc_lightning.data.glyph_style import GlyphStyle
from ctc_lightning.data.glyphs import Glyphs
from ctc_lightning.data.image_set import ImageFiles, ImageSet
from ctc_lightning.data.in_memory import InMemoryDataModule
from ctc_lightning.data.indexed import IndexedDataset

__all__ = [
    "Augmentation",
    "CachedDataModule",
    "Collection",
    "ColourJitter",
    "Compose",
    "Digits",
    "FileDataModule",
    "GaussianBlur",
    "GlyphStyle",
    "Glyphs",
    "Grayscale",
    "HorizontalFlip",
    "Identity",
    "ImageDataModule",
    "ImageFiles",
    "ImageSet",
    "InMemoryDataModule",
    "IndexedDataset",
    "RandomCrop",
    "RandomResizedCrop",
    "Solarize",
]
