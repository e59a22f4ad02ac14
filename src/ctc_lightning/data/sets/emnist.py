"""EMNIST: 28 x 28 grey handwritten digits and letters, in six selections."""

# N images, H rows, W columns

from typing import Any

from torchvision import datasets

from ctc_lightning.checks import one_of
from ctc_lightning.data.from_torchvision import TorchvisionCollection
from ctc_lightning.data.image_set import ImageSet

COUNTS = {
    "byclass": (697_932, 116_323),
    "bymerge": (697_932, 116_323),
    "balanced": (112_800, 18_800),
    "letters": (124_800, 20_800),
    "digits": (240_000, 40_000),
    "mnist": (60_000, 10_000),
}
"""Split -> numbers of train and test images (arXiv 1702.05373; letters as the published files have them)."""

NUM_CLASSES = {"byclass": 62, "bymerge": 47, "balanced": 47, "letters": 26, "digits": 10, "mnist": 10}


class EMNIST(TorchvisionCollection):
    """One of EMNIST's splits, label ``class``; verified by md5 when it is downloaded.

    Images are upright, as a person reads them: the transpose of what the files and torchvision have. The
    classes of ``letters`` are a to z, counted from 0 (in the files from 1); each stands for both cases.

    Args:
        split: ``byclass`` (62 classes), ``bymerge`` (47: both cases of a letter are one class where they look
            alike), ``balanced`` (47, equally frequent), ``letters`` (26), ``digits`` or ``mnist`` (10).

    Raises:
        ValueError: a ``split`` that does not exist.

    Source: Cohen et al. 2017, arXiv 1702.05373.
    """

    source = datasets.EMNIST
    title = "EMNIST"
    image_size = 28
    channels = 1
    folder = "emnist"
    place = "EMNIST"
    how_to_get = "get it by python -m ctc_lightning.data get emnist (0.6 GB)"

    def __init__(self, split: str = "balanced") -> None:
        one_of("data.collection", COUNTS, split=split)
        self.split = split
        self.counts = dict(zip(("train", "test"), COUNTS[split], strict=True))
        self.num_classes = {"class": NUM_CLASSES[split]}
        self.needs = tuple(
            f"EMNIST/raw/emnist-{split}-{part}-{kind}"
            for part in ("train", "test")
            for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
        )
        self.notes = f"The authors' split {split}; images are upright."

    def options(self, part: str) -> dict[str, Any]:
        """See `TorchvisionCollection.options`."""
        return {"split": self.split, "train": part == "train"}

    def convert(self, data: Any) -> ImageSet:
        """(N, column, row) to (N, 1, row, column); class 0 of ``letters``, which nothing has, is left out."""
        first = 1 if self.split == "letters" else 0
        image_NHW = data.data.transpose(1, 2)
        labels = {"class": data.targets - first}
        return ImageSet(image_NHW[:, None], labels, {"class": tuple(data.classes[first:])})
