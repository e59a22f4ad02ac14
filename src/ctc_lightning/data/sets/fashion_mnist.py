"""Fashion-MNIST: 28 x 28 grey photographs of clothes."""

# N images, H rows, W columns

from collections.abc import Mapping
from typing import Any

from torchvision import datasets

from ctc_lightning.data.from_torchvision import TorchvisionCollection
from ctc_lightning.data.image_set import ImageSet


class FashionMNIST(TorchvisionCollection):
    """60000 train and 10000 test images, label ``class``; verified by md5 when they are downloaded.

    Source: Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747.
    """

    source = datasets.FashionMNIST
    title = "Fashion-MNIST"
    counts: Mapping[str, int] = {"train": 60_000, "test": 10_000}
    num_classes: Mapping[str, int] = {"class": 10}
    image_size = 28
    channels = 1
    folder = "fashion_mnist"
    place = "FashionMNIST"
    needs = (
        "FashionMNIST/raw/train-images-idx3-ubyte",
        "FashionMNIST/raw/train-labels-idx1-ubyte",
        "FashionMNIST/raw/t10k-images-idx3-ubyte",
        "FashionMNIST/raw/t10k-labels-idx1-ubyte",
    )
    how_to_get = "get it by python -m ctc_lightning.data get fashion_mnist (0.03 GB)"
    notes = "The authors' split."

    def convert(self, data: Any) -> ImageSet:
        """(N, 28, 28) to (N, 1, 28, 28)."""
        return ImageSet(data.data[:, None], {"class": data.targets}, {"class": tuple(data.classes)})
