"""CIFAR-10: 32 x 32 photographs of ten kinds of things."""

# N images, H rows, W columns, C channels

from collections.abc import Mapping
from typing import Any

import torch
from torchvision import datasets

from ctc_lightning.data.from_torchvision import TorchvisionCollection
from ctc_lightning.data.image_set import ImageSet


class CIFAR10(TorchvisionCollection):
    """The python version, verified by md5: 50000 train and 10000 test images, label ``class``.

    Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images".
    """

    source = datasets.CIFAR10
    title = "CIFAR-10"
    counts: Mapping[str, int] = {"train": 50_000, "test": 10_000}
    num_classes: Mapping[str, int] = {"class": 10}
    image_size = 32
    folder = "cifar10"
    place = "cifar-10-batches-py"
    needs = (
        *(f"cifar-10-batches-py/data_batch_{n}" for n in range(1, 6)),
        "cifar-10-batches-py/test_batch",
        "cifar-10-batches-py/batches.meta",
    )
    how_to_get = "get it by python -m ctc_lightning.data get cifar10 (0.2 GB)"
    notes = "The authors' split."

    def convert(self, data: Any) -> ImageSet:
        """(N, 32, 32, 3) to (N, 3, 32, 32)."""
        image_NCHW = torch.from_numpy(data.data).permute(0, 3, 1, 2)
        return ImageSet(image_NCHW, {"class": torch.tensor(data.targets)}, {"class": tuple(data.classes)})
