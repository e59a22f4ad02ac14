"""DTD: textures, named by adjectives."""

from collections.abc import Mapping
from typing import Any

from torchvision import datasets

from ctc_lightning.checks import one_of
from ctc_lightning.data.listed import ListedCollection

PARTITIONS = 10


class DTD(ListedCollection):
    """47 adjectives, such as "braided", with 120 images of each.

    Args:
        partition: 1 to 10, which of the authors' ten ways to split it.

    Raises:
        ValueError: another partition.

    Source: Cimpoi et al., "Describing textures in the wild", CVPR 2014; read by torchvision.
    """

    source = datasets.DTD
    title = "DTD"
    counts: Mapping[str, int] = {"train": 1880, "val": 1880, "test": 1880}
    num_classes: Mapping[str, int] = {"class": 47}
    folder = "dtd"
    how_to_get = "get it by python -m ctc_lightning.data get dtd (0.6 GB)"

    def __init__(self, partition: int = 1) -> None:
        one_of("data.collection", range(1, PARTITIONS + 1), partition=partition)
        self.partition = partition
        self.needs = (
            *(f"dtd/dtd/labels/{split}{partition}.txt" for split in self.counts),
            "dtd/dtd/images",
        )
        self.notes = f"The authors' partition {partition} of {PARTITIONS}."

    def options(self, split: str) -> dict[str, Any]:
        """See `ListedCollection.options`."""
        return {"split": split, "partition": self.partition}
