"""Caltech-101: objects."""

from collections.abc import Mapping
from pathlib import Path

from torchvision import datasets

from ctc_lightning.data.folders import list_class_folders
from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.data.listed import ListedCollection
from ctc_lightning.data.splits import take_each

TRAINING_IMAGES = 30
SEED = 0


class Caltech101(ListedCollection):
    """102 folders of 31 to 800 images: 101 objects, of which faces have two folders, and a background.

    It has no official split. The field trains on 30 images of every class and tests on all others, with the
    background as a class (Kornblith et al., arXiv 1805.08974: 102 classes, 3060 and 6084 images). Which 30
    is not published, so that results are comparable in distribution only: here `take_each` with the seed
    above chooses them. torchvision's class decodes whatever it lists and leaves the background out, so the
    folders are read here; the one file in them that is no image is passed over.

    Source: Fei-Fei, Fergus, Perona, "Learning generative visual models from few training examples", 2004.
    """

    source = datasets.Caltech101
    title = "Caltech-101"
    counts: Mapping[str, int] = {"train": 3060, "test": 6084}
    num_classes: Mapping[str, int] = {"class": 102}
    metric = "mean_per_class"
    folder = "caltech101"
    needs = ("caltech101/101_ObjectCategories",)
    how_to_get = (
        "get it by python -m ctc_lightning.data get caltech101 (0.1 GB), with torchvision 0.24 or newer; or "
        "unpack 101_ObjectCategories.tar.gz into caltech101/ below the data root"
    )
    notes = f"{TRAINING_IMAGES} training images of each of 102 classes, chosen by hash with seed {SEED}."

    def read(self, folder: Path, split: str) -> ImageFiles:
        """See `Collection.read`."""
        base = folder / "caltech101" / "101_ObjectCategories"
        classes, paths, label_N = list_class_folders(base)
        train, test = take_each(label_N, TRAINING_IMAGES, SEED)
        files = ImageFiles.of(base, paths, {"class": label_N}, {"class": tuple(classes)})
        return files.rows({"train": train, "test": test}[split])
