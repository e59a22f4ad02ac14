"""Data modules: images in memory, augmented as whole batches: the choices of ``conf/data``."""

from ctc_lightning.data.augmentation import Augmentation, Identity, RandomCrop
from ctc_lightning.data.digits import Digits
from ctc_lightning.data.glyph_style import GlyphStyle
from ctc_lightning.data.glyphs import Glyphs
from ctc_lightning.data.image_set import ImageSet
from ctc_lightning.data.in_memory import InMemoryDataModule

__all__ = [
    "Augmentation",
    "Digits",
    "GlyphStyle",
    "Glyphs",
    "Identity",
    "ImageSet",
    "InMemoryDataModule",
    "RandomCrop",
]
