"""Food-101: dishes."""

from collections.abc import Mapping
from pathlib import Path

from torchvision import datasets

from ctc_lightning.data.collection import Collection
from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.data.listed import fetching, from_pairs, reading, undecoded


class Food101(Collection):
    """101 dishes: 750 training images of each, which were not cleaned, and 250 reviewed test images.

    Source: Bossard, Guillaumin, Van Gool, "Food-101", ECCV 2014; read by torchvision.
    """

    title = "Food-101"
    counts: Mapping[str, int] = {"train": 75750, "test": 25250}
    num_classes: Mapping[str, int] = {"class": 101}
    folder = "food101"
    needs = ("food-101/meta/train.json", "food-101/meta/test.json", "food-101/images")
    how_to_get = "get it by python -m ctc_lightning.data get food101 (5 GB)"
    downloads = True
    notes = "The authors' split; the training labels are noisy on purpose."

    def read(self, folder: Path, split: str) -> ImageFiles:
        """See `Collection.read`."""
        with reading(self.title, folder):
            dataset, pairs = undecoded(datasets.Food101, folder, split=split)
        return from_pairs(pairs, folder / "food-101" / "images", dataset.classes, self.title)

    def download(self, folder: Path) -> None:
        """See `Collection.download`."""
        with fetching(self.title, folder):
            datasets.Food101(folder, download=True)
