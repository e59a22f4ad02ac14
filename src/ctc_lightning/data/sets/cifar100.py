"""CIFAR-100: 32 x 32 photographs with a fine label and the superclass that it belongs to."""

# N images, H rows, W columns, C channels

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torchvision import datasets

from ctc_lightning.data.from_torchvision import TorchvisionCollection
from ctc_lightning.data.image_set import ImageSet


class CIFAR100(TorchvisionCollection):
    """The python version, verified by md5: 50000 train and 10000 test images.

    Labels: ``fine``, 100 classes; ``coarse``, 20 superclasses of five fine classes each, which torchvision
    leaves in the files.

    Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images".
    """

    source = datasets.CIFAR100
    title = "CIFAR-100"
    counts: Mapping[str, int] = {"train": 50_000, "test": 10_000}
    num_classes: Mapping[str, int] = {"fine": 100, "coarse": 20}
    image_size = 32
    folder = "cifar100"
    place = "cifar-100-python"
    needs = ("cifar-100-python/train", "cifar-100-python/test", "cifar-100-python/meta")
    how_to_get = "get it by python -m ctc_lightning.data get cifar100 (0.2 GB)"
    notes = "The authors' split."

    def convert(self, data: Any) -> ImageSet:
        """(N, 32, 32, 3) to (N, 3, 32, 32); adds the superclasses of the same files."""
        files = Path(data.root) / data.base_folder
        entry, meta = (_unpickle(files / name) for name in ("train" if data.train else "test", "meta"))
        return ImageSet(
            torch.from_numpy(data.data).permute(0, 3, 1, 2),
            {"fine": torch.tensor(data.targets), "coarse": torch.tensor(entry["coarse_labels"])},
            {"fine": tuple(data.classes), "coarse": tuple(meta["coarse_label_names"])},
        )


def _unpickle(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return pickle.load(file, encoding="latin1")  # noqa: S301  # torchvision has just verified its md5
