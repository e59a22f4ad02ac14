"""CINIC-10: the classes of CIFAR-10, with images of CIFAR-10 and of ImageNet."""

from collections.abc import Mapping
from pathlib import Path

from ctc_lightning.data.collection import Collection
from ctc_lightning.data.folders import list_class_folders
from ctc_lightning.data.image_set import ImageFiles

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
FOLDERS = {"train": "train", "val": "valid", "test": "test"}


class CINIC10(Collection):
    """90000 train, 90000 val and 90000 test images of 32 x 32, label ``class``; val is the folder ``valid``.

    Source: Darlow et al. 2018, arXiv 1810.03505.
    """

    title = "CINIC-10"
    counts: Mapping[str, int] = {"train": 90_000, "val": 90_000, "test": 90_000}
    num_classes: Mapping[str, int] = {"class": 10}
    image_size = 32
    folder = "cinic10"
    needs = ("train", "valid", "test")
    how_to_get = (
        "download CINIC-10 of the University of Edinburgh's DataShare and unpack it there, "
        "as train/CLASS/*.png, valid/CLASS/*.png and test/CLASS/*.png"
    )
    notes = (
        "The authors' split, val is their valid; the CTC reference trains its probes on train and evaluates "
        "on valid."
    )

    def read(self, folder: Path, split: str) -> ImageFiles:
        """One official split.

        Raises:
            ValueError: see `list_class_folders`.
        """
        root = folder / FOLDERS[split]
        _, paths, label_N = list_class_folders(root, CLASSES)
        return ImageFiles.of(root, paths, {"class": label_N}, {"class": CLASSES})
