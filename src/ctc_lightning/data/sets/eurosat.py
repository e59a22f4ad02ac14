"""EuroSAT: land use, from satellites."""

from collections.abc import Mapping
from pathlib import Path

from torchvision import datasets

from ctc_lightning.data.folders import list_class_folders
from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.data.listed import ListedCollection
from ctc_lightning.data.splits import digest, hold_out

NUM_IMAGES = 27000
NUM_TEST = 8100
SEED = 0
CLASS_COUNTS = (3000, 3000, 3000, 2500, 2500, 2000, 2500, 3000, 2500, 3000)
"""Images of each class, in the order of their names."""
TEST_DIGEST = "700fcbc699167ba0"
"""Of the rows of the test images, so that this split cannot change unnoticed."""


class EuroSAT(ListedCollection):
    """10 kinds of land use: 2000 to 3000 images of each, 64 x 64, the red, green and blue of Sentinel-2.

    It has no official split. The field tests on 8100 images, here 30 % of every class (`hold_out` with the
    seed above), and trains on 18900.

    Source: Helber et al., "EuroSAT", arXiv 1709.00029.
    """

    source = datasets.EuroSAT
    title = "EuroSAT"
    counts: Mapping[str, int] = {"train": NUM_IMAGES - NUM_TEST, "test": NUM_TEST}
    num_classes: Mapping[str, int] = {"class": 10}
    image_size = 64
    folder = "eurosat"
    needs = ("eurosat/2750",)
    how_to_get = "get it by python -m ctc_lightning.data get eurosat (0.1 GB)"
    notes = f"{NUM_TEST} test images, 30 % of each class, chosen by hash with seed {SEED}."

    def read(self, folder: Path, split: str) -> ImageFiles:
        """See `Collection.read`."""
        base = folder / "eurosat" / "2750"
        classes, paths, label_N = list_class_folders(base)
        train, test = hold_out(label_N, round(len(paths) * NUM_TEST / NUM_IMAGES), SEED)
        if tuple(label_N.bincount().tolist()) == CLASS_COUNTS:
            assert digest(test) == TEST_DIGEST, "the rule of `hold_out` has changed, and with it this split"
        files = ImageFiles.of(base, paths, {"class": label_N}, {"class": tuple(classes)})
        return files.rows({"train": train, "test": test}[split])
