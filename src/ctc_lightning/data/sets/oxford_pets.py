"""Oxford-IIIT Pets: breeds of cats and dogs."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torchvision import datasets

from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.data.listed import ListedCollection, from_lists, reading

LISTS = {"train": "trainval", "test": "test"}


class OxfordPets(ListedCollection):
    """37 breeds, about 100 training and 100 test images of each.

    A line of ``annotations/trainval.txt`` or ``test.txt`` is "Maine_Coon_12 20 1 9": the image's name, which
    begins with its breed, the breed's number from 1, and two numbers about cats and dogs that are not used.
    torchvision's class decodes whatever it lists, so the lists are read here.

    Source: Parkhi et al., "Cats and dogs", CVPR 2012.
    """

    source = datasets.OxfordIIITPet
    title = "Oxford-IIIT Pets"
    counts: Mapping[str, int] = {"train": 3680, "test": 3669}
    num_classes: Mapping[str, int] = {"class": 37}
    metric = "mean_per_class"
    folder = "oxford_pets"
    needs = (
        "oxford-iiit-pet/annotations/trainval.txt",
        "oxford-iiit-pet/annotations/test.txt",
        "oxford-iiit-pet/images",
    )
    how_to_get = "get it by python -m ctc_lightning.data get oxford_pets (0.8 GB)"
    notes = "The authors' split; their trainval is train."

    def read(self, folder: Path, split: str) -> ImageFiles:
        """See `Collection.read`."""
        base = folder / "oxford-iiit-pet"
        with reading(self.title, folder):
            lines = (base / "annotations" / f"{LISTS[split]}.txt").read_text().splitlines()
            rows = [line.split() for line in lines if line and not line.startswith("#")]
            images = [image for image, *_ in rows]
            label_N = torch.tensor([int(breed) - 1 for _, breed, _, _ in rows], dtype=torch.int64)
            names = {
                label: image.rpartition("_")[0].replace("_", " ")
                for image, label in zip(images, label_N.tolist(), strict=True)
            }
            classes = [names[label] for label in range(len(names))]
        paths = [base / "images" / f"{image}.jpg" for image in images]
        return from_lists(paths, label_N, base / "images", classes, self.title)
