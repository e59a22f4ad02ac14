"""Glyphs: drawn images whose source label needs one factor and whose transfer targets need the others."""

from types import MappingProxyType
from typing import Any

import numpy as np

from ctc_lightning.checks import count
from ctc_lightning.data.glyph_images import draw_glyphs
from ctc_lightning.data.glyph_shapes import Array, draw_templates
from ctc_lightning.data.glyph_style import GlyphStyle
from ctc_lightning.data.image_set import ImageSet
from ctc_lightning.data.in_memory import InMemoryDataModule

SPLITS = ("train", "val", "test")


class Glyphs(InMemoryDataModule):
    """Colour images of stroke glyphs on textured grounds, generated in seconds.

    The first half of the alphabet makes the image set "source", the second half, never trained on, "new".
    Source label: glyph mod ``source_classes``. Targets: ``fine`` (the glyph itself), ``new`` (an unseen
    glyph), ``hue``, ``position`` (quadrant), ``texture``, ``scale``. Every split of both sets is a draw of
    its own, from a stream of its own: its images do not depend on the size of any other.

    Args:
        name: what results call this data set.
        template_seed: >= 0, draws the alphabet.
        instance_seed: >= 0, draws the images: another one gives other images of the same alphabet.
        num_templates: glyphs of the alphabet, half source and half new.
        num_train: training images of each set.
        num_val: validation images of each set.
        num_test: test images of each set.
        source_classes: of the source label, a divisor of half the alphabet.
        source_label: the label to train on, ``source`` or a factor.
        style: how the images are drawn; None for the defaults.
        **loading: batch sizes, augmentation and seed of `InMemoryDataModule`.

    Raises:
        ValueError: a split without an image of every class, an alphabet that does not divide into its
            halves and classes, a negative seed; see `InMemoryDataModule`.
    """

    source_labels = ("source", "fine", "hue", "position", "texture", "scale")
    targets = MappingProxyType(
        {
            "fine": "source",
            "new": "new",
            "hue": "source",
            "position": "source",
            "texture": "source",
            "scale": "source",
        }
    )

    def __init__(
        self,
        *,
        name: str = "glyphs",
        template_seed: int = 500,
        instance_seed: int = 0,
        num_templates: int = 32,
        num_train: int = 1500,
        num_val: int = 500,
        num_test: int = 1500,
        source_classes: int = 4,
        source_label: str = "source",
        style: GlyphStyle | None = None,
        **loading: Any,
    ) -> None:
        super().__init__(name=name, num_train=num_train, source_label=source_label, **loading)
        self.style = style or GlyphStyle()
        if num_templates < 4 or num_templates % 2:
            raise ValueError(
                f"num_templates is {num_templates}, must be even and at least 4: half are new glyphs."
            )
        num_glyphs = num_templates // 2
        if not 2 <= source_classes <= num_glyphs or num_glyphs % source_classes:
            raise ValueError(
                f"source_classes is {source_classes}, must be at least 2 and divide the {num_glyphs} source "
                "glyphs: choose such a divisor."
            )
        self.sizes = dict(zip(SPLITS, (num_train, num_val, num_test), strict=True))
        most_classes = max(num_glyphs, self.style.num_hues, 4, self.style.num_textures, self.style.num_scales)
        # every class needs an image
        count("glyphs", least=most_classes, num_train=num_train, num_val=num_val, num_test=num_test)
        count("glyphs", least=0, example=0, template_seed=template_seed, instance_seed=instance_seed)
        self.template_seed = template_seed
        self.instance_seed = instance_seed
        self.num_templates = num_templates
        self.source_classes = source_classes

    def make(self) -> dict[str, dict[str, ImageSet]]:
        """Draw the splits of "source" and "new"."""
        source_TSP2, new_TSP2 = np.split(
            draw_templates(self.num_templates, self.template_seed, self.style), 2
        )
        source_seed, new_seed = np.random.SeedSequence(self.instance_seed).spawn(2)
        source, new = self._splits(source_TSP2, source_seed), self._splits(new_TSP2, new_seed)
        for images in source.values():
            images.labels["fine"] = images.labels.pop("glyph")
            images.labels["source"] = images.labels["fine"] % self.source_classes
        for images in new.values():
            images.labels["new"] = images.labels.pop("glyph")
        return {"source": source, "new": new}

    def _splits(self, templates_TSP2: Array, seed: np.random.SeedSequence) -> dict[str, ImageSet]:
        streams = seed.spawn(len(SPLITS))
        return {
            split: draw_glyphs(templates_TSP2, size, stream, self.style)
            for (split, size), stream in zip(self.sizes.items(), streams, strict=True)
        }
