"""SUN397: scenes."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import torch

from ctc_lightning.data.collection import Collection
from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.data.listed import from_lists, reading

LISTS = {"train": "Training_01.txt", "test": "Testing_01.txt"}


class SUN397(Collection):
    """397 scenes, with 50 training and 50 test images of each in the authors' first partition.

    A line of ``ClassName.txt`` is "/a/apartment_building/outdoor", one of a partition the same with
    "/sun_aaacw.jpg" after it. torchvision's class lists all 108 754 images and knows no partition, so the
    lists are read here.

    Source: Xiao et al., "SUN database", CVPR 2010.
    """

    title = "SUN397"
    counts: Mapping[str, int] = {"train": 19850, "test": 19850}
    num_classes: Mapping[str, int] = {"class": 397}
    folder = "SUN397"
    needs = (
        "ClassName.txt",
        "Partitions/Training_01.txt",
        "Partitions/Testing_01.txt",
    )
    how_to_get = (
        "its host is gone (pytorch/vision issue 9348): unpack a copy of SUN397.tar.gz into SUN397/ below the "
        "data root, as SUN397/a/abbey/sun_*.jpg, and of Partitions.zip into SUN397/Partitions/"
    )
    notes = "The authors' partition 1 of 10."

    def read(self, folder: Path, split: str) -> ImageFiles:
        """See `Collection.read`."""
        with reading(self.title, folder):
            scenes = (folder / "ClassName.txt").read_text().split()
            label = {scene: number for number, scene in enumerate(scenes)}
            lines = (folder / "Partitions" / LISTS[split]).read_text().split()
            label_N = torch.tensor([label[str(PurePosixPath(line).parent)] for line in lines])
        paths = [folder / line.removeprefix("/") for line in lines]
        # Without the first letter, by which the authors sort them into folders
        classes = [scene.split("/", 2)[2] for scene in scenes]
        return from_lists(paths, label_N, folder, classes, self.title)
