"""Flowers-102: species of flowers."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from torchvision import datasets

from ctc_lightning.data.collection import Collection, Metric
from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.data.listed import fetching, from_pairs, reading, undecoded


class Flowers102(Collection):
    """102 flowers: 10 training and 10 validation images of each, and a test set that is not balanced.

    Source: Nilsback, Zisserman, "Automated flower classification over a large number of classes", ICVGIP
    2008; read by torchvision, which checks that the two lists are the published files.
    """

    title = "Flowers-102"
    counts: Mapping[str, int] = {"train": 1020, "val": 1020, "test": 6149}
    num_classes: Mapping[str, int] = {"class": 102}
    metric: ClassVar[Metric] = "mean_per_class"
    folder = "flowers102"
    needs = ("flowers-102/imagelabels.mat", "flowers-102/setid.mat", "flowers-102/jpg")
    how_to_get = "get it by python -m ctc_lightning.data get flowers102 (0.3 GB)"
    downloads = True
    notes = "The authors' split, whose test set is six times as large as its training set."

    def read(self, folder: Path, split: str) -> ImageFiles:
        """See `Collection.read`."""
        with reading(self.title, folder):
            dataset, pairs = undecoded(datasets.Flowers102, folder, split=split)
        # The names came with torchvision 0.22
        classes = getattr(dataset, "classes", ())
        return from_pairs(pairs, folder / "flowers-102" / "jpg", classes, self.title)

    def download(self, folder: Path) -> None:
        """See `Collection.download`."""
        with fetching(self.title, folder):
            datasets.Flowers102(folder, download=True)
