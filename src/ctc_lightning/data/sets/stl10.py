"""STL-10: 96 x 96 photographs of ten kinds of things, few of them labelled."""

# N images, C channels, H rows, W columns

from collections.abc import Mapping
from typing import Any

import torch
from torchvision import datasets

from ctc_lightning.data.from_torchvision import TorchvisionCollection
from ctc_lightning.data.image_set import ImageSet


class LabelledSTL10(datasets.STL10):
    """torchvision's, without the 2.7 GB of unlabelled images: it would verify them at every reading."""

    train_list = datasets.STL10.train_list[:2]


class STL10(TorchvisionCollection):
    """The binary version, verified by md5: 5000 train and 8000 test images, label ``class``.

    The 100000 unlabelled images are not used; their file need not be there. Neither are the ten folds.

    Source: Coates, Lee and Ng 2011, "An analysis of single-layer networks in unsupervised feature learning".
    """

    source = LabelledSTL10
    title = "STL-10"
    counts: Mapping[str, int] = {"train": 5_000, "test": 8_000}
    num_classes: Mapping[str, int] = {"class": 10}
    image_size = 96
    folder = "stl10"
    place = "stl10_binary"
    needs = (
        "stl10_binary/train_X.bin",
        "stl10_binary/train_y.bin",
        "stl10_binary/test_X.bin",
        "stl10_binary/test_y.bin",
        "stl10_binary/class_names.txt",
    )
    how_to_get = "get it by python -m ctc_lightning.data get stl10 (2.6 GB)"
    notes = "The authors' split; the unlabelled images and the ten folds are not used."

    def options(self, part: str) -> dict[str, Any]:
        """See `TorchvisionCollection.options`."""
        return {"split": part}

    def convert(self, data: Any) -> ImageSet:
        """Images as they are; labels from uint8 to int64."""
        labels = {"class": torch.from_numpy(data.labels).long()}
        return ImageSet(torch.from_numpy(data.data), labels, {"class": tuple(data.classes)})
