"""VOC2007: which of 20 kinds of objects an image shows."""

# N images, L = 20 classes

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import torch
from torchvision import datasets

from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.data.listed import ListedCollection, fetching, from_lists, reading

CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
LABEL = {name: number for number, name in enumerate(CLASSES)}


class VOC2007(ListedCollection):
    """Images with one or more of 20 kinds of objects: labels (N, 20) int8.

    1 where an object of the class is not marked difficult, -1 where all of its objects are: such an image
    counts neither for nor against a classifier of that class; 0 where there is none.

    Source: Everingham et al., "The PASCAL visual object classes challenge 2007"; the files as torchvision
    lists them.
    """

    source = datasets.VOCDetection
    title = "PASCAL VOC 2007"
    counts: Mapping[str, int] = {"train": 2501, "val": 2510, "test": 4952}
    num_classes: Mapping[str, int] = {"class": len(CLASSES)}
    metric = "map_11_point"
    multi_label = True
    folder = "voc2007"
    needs = (
        "VOCdevkit/VOC2007/ImageSets/Main/train.txt",
        "VOCdevkit/VOC2007/ImageSets/Main/val.txt",
        "VOCdevkit/VOC2007/ImageSets/Main/test.txt",
        "VOCdevkit/VOC2007/Annotations",
        "VOCdevkit/VOC2007/JPEGImages",
    )
    how_to_get = "get it by python -m ctc_lightning.data get voc2007 (0.9 GB)"
    notes = "The official split; objects marked difficult are not judged."

    def read(self, folder: Path, split: str) -> ImageFiles:
        """See `Collection.read`."""
        with reading(self.title, folder):
            dataset = datasets.VOCDetection(folder, year="2007", image_set=split)
            label_NL = torch.stack([_label(path) for path in dataset.annotations])
        base = folder / "VOCdevkit" / "VOC2007" / "JPEGImages"
        return from_lists([Path(path) for path in dataset.images], label_NL, base, CLASSES, self.title)

    def download(self, folder: Path) -> None:
        """See `Collection.download`."""
        with fetching(self.title, folder):
            for part in ("trainval", "test"):
                datasets.VOCDetection(folder, year="2007", image_set=part, download=True)


def _label(path: str) -> torch.Tensor:
    """(L,) int8 of one image."""
    root = ET.parse(path).getroot()  # noqa: S314  # expat refuses entities that explode since its 2.4.1
    label_L = torch.zeros(len(CLASSES), dtype=torch.int8)
    # Difficult ones first, so that any other of the class has the last word
    for thing in sorted(root.iter("object"), key=lambda thing: thing.findtext("difficult") != "1"):
        label_L[LABEL[thing.findtext("name", "")]] = -1 if thing.findtext("difficult") == "1" else 1
    return label_L
