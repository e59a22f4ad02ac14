"""The data module of images that are tensors already."""

# N images of a split, C channels, H rows, W columns, L labels of an image with several

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ctc_lightning.data.image_set import ImageSet
from ctc_lightning.data.in_memory import InMemoryDataModule
from ctc_lightning.data.network_input import NetworkInput
from ctc_lightning.data.splits import hold_out
from ctc_lightning.data.standardise import Standardise

LABEL = "label"


class TensorImages(InMemoryDataModule):
    """Images and labels. Splits that are not given are held out of the training images, see `hold_out`.

    Args:
        splits: "train" and perhaps "val" and "test": (N, C, H, W) images, uint8, or floats as the network
            sees them; (N,) int64 labels from 0, or (N, L) int8, see `ImageSet`.
        name: what results call them.
        held_out: the share of the training images for each split that is missing.
        **options: of `ImageDataModule`.

    Raises:
        ValueError: other shapes or types.
    """

    source_labels = (LABEL,)

    def __init__(
        self, splits: Mapping[str, Sequence[Any]], name: str, held_out: float = 0.2, **options: Any
    ) -> None:
        self.targets = {}
        super().__init__(name=name, source_label=LABEL, drop_last=False, **options)
        self.splits = {split: _checked(name, split, *pair) for split, pair in splits.items()}
        if len({images.image.is_floating_point() for images in self.splits.values()}) > 1:
            raise ValueError(f"{name}: some images are uint8 and some floats; give all of one type.")
        self.held_out = held_out

    @property
    def is_ready(self) -> bool:
        """Whether the images are floats, which are shown as they are."""
        return self.splits["train"].image.is_floating_point()

    def make(self) -> Mapping[str, Mapping[str, ImageSet]]:
        """The splits, see `hold_out` for those that are missing."""
        splits = dict(self.splits)
        for split in ("test", "val"):
            if split not in splits:
                train = splits["train"]
                kept, held = hold_out(train.labels[LABEL], round(self.held_out * len(train)), 0)
                splits["train"], splits[split] = train.rows(kept), train.rows(held)
        return {"source": splits}

    def statistics(self) -> tuple[Sequence[float] | Tensor, Sequence[float] | Tensor]:
        """Of the training images; of floats, those that change nothing."""
        channels = self.image_shape[0]
        return ([0.0] * channels, [1.0] * channels) if self.is_ready else super().statistics()

    def setup(self, stage: str | None = None) -> None:
        """See `ImageDataModule.setup`."""
        super().setup(stage)
        if self.is_ready:
            self.standardise = _AsTheyAre(self.mean, self.std, self.image_shape)

    def show_as(self, expected: NetworkInput) -> None:
        """As `ImageDataModule.show_as`; floats must have the right shape.

        Raises:
            ValueError: floats of another shape.
        """
        if not self.is_ready:
            super().show_as(expected)
        elif expected.shape != self.image_shape:
            raise ValueError(
                f"{self.name}: the images are floats of shape {self.image_shape}, shown as they are, and "
                f"the network expects {expected.shape}: resize them, or give uint8 images."
            )


class _AsTheyAre(Standardise):
    def __call__(self, image: Tensor) -> Tensor:
        return image.float()


def _checked(name: str, split: str, image: Any, label: Any) -> ImageSet:
    image_NCHW, label_N = (
        torch.as_tensor(given) if isinstance(given, Tensor | np.ndarray) else None for given in (image, label)
    )
    where = f"{name}: the {split} images"
    if image_NCHW is None or label_N is None:
        raise ValueError(f"{where} are not tensors; give (images, labels).")
    if image_NCHW.ndim != 4 or not (image_NCHW.dtype == torch.uint8 or image_NCHW.is_floating_point()):
        raise ValueError(
            f"{where} are {tuple(image_NCHW.shape)} {image_NCHW.dtype}; give (N, C, H, W) of uint8, or of "
            "floats as the network sees them."
        )
    if len(label_N) != len(image_NCHW) or not len(image_NCHW) or label_N.ndim not in (1, 2):
        raise ValueError(
            f"{where} are {len(image_NCHW)} with labels of shape {tuple(label_N.shape)}; give one label for "
            "each image."
        )
    if label_N.is_floating_point() or (label_N.ndim == 1 and label_N.min() < 0):
        raise ValueError(
            f"{where} have labels of {label_N.dtype} from {label_N.min()}; give whole numbers from 0."
        )
    return ImageSet(image_NCHW, {LABEL: label_N.long() if label_N.ndim == 1 else label_N.to(torch.int8)})
