"""SVHN: 32 x 32 crops of house numbers, labelled with the digit in the middle."""

# N images, C channels, H rows, W columns

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torchvision import datasets

from ctc_lightning.data.from_torchvision import TorchvisionCollection
from ctc_lightning.data.image_set import ImageSet


class SVHN(TorchvisionCollection):
    """Format 2 (cropped digits), verified by md5: 73257 train and 26032 test images, label ``class``.

    The digit 0 is class 0 (in the files it is 10).

    Args:
        extra: add the 531131 easier images of ``extra`` behind those of train.

    Raises:
        ValueError: an ``extra`` that is neither true nor false.

    Source: Netzer et al. 2011, "Reading digits in natural images with unsupervised feature learning".
    """

    source = datasets.SVHN
    title = "SVHN"
    num_classes: Mapping[str, int] = {"class": 10}
    image_size = 32
    folder = "svhn"
    place = "{part}_32x32.mat"
    how_to_get = "get it by python -m ctc_lightning.data get svhn (0.2 GB)"

    def __init__(self, *, extra: bool = False) -> None:
        if extra not in (True, False):
            raise ValueError(f"extra is {extra!r}, must be true or false: true adds 531131 training images.")
        self.extra = bool(extra)
        self.parts = ("train", "test", "extra") if extra else ("train", "test")
        self.needs = tuple(self.place.format(part=part) for part in self.parts)
        self.counts = {"train": 73_257 + self.extra * 531_131, "test": 26_032}
        self.notes = f"The authors' split, {'with' if extra else 'without'} the extra training images."
        if extra:
            self.how_to_get = (
                f"{self.how_to_get}, and download extra_32x32.mat (1.3 GB) of Stanford's SVHN page beside it"
            )

    def read(self, folder: Path, split: str) -> ImageSet:
        """As `TorchvisionCollection.read`; the images of ``extra`` follow those of train."""
        images = super().read(folder, split)
        if not (self.extra and split == "train"):
            return images
        more = self.read_part(folder, "extra")
        label_N = torch.cat([images.labels["class"], more.labels["class"]])
        return ImageSet(torch.cat([images.image, more.image]), {"class": label_N}, images.classes)

    def options(self, part: str) -> dict[str, Any]:
        """See `TorchvisionCollection.options`."""
        return {"split": part}

    def convert(self, data: Any) -> ImageSet:
        """Images and labels as they are; the digits name themselves."""
        labels = {"class": torch.from_numpy(data.labels)}
        return ImageSet(torch.from_numpy(data.data), labels, {"class": tuple("0123456789")})
