"""Birdsnap: species of North American birds."""

import csv
import logging
from collections.abc import Mapping
from pathlib import Path

import torch

from ctc_lightning.data.collection import Collection
from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.data.listed import from_lists, missing, reading

log = logging.getLogger(__name__)

IMAGES = ("images", "download/images")


class Birdsnap(Collection):
    """500 species, as links to photographs that their owners have since been free to delete.

    ``images.txt`` and ``species.txt`` are tables with a header, tab-separated: of an image its ``path`` below
    the folder of images and its ``species_id``, of a species its ``id`` from 1 and its ``common`` name.
    ``test_images.txt`` has the header "path" and the paths of the test images. Listed images that are not
    there are left out, and counted in the log.

    Source: Berg et al., "Birdsnap: Large-scale fine-grained visual categorization of birds", CVPR 2014,
    release 1.1.
    """

    title = "Birdsnap"
    counts: Mapping[str, int] = {"train": 47386, "test": 2443}
    num_classes: Mapping[str, int] = {"class": 500}
    counts_may_differ = True
    folder = "birdsnap"
    needs = ("images.txt", "test_images.txt", "species.txt")
    how_to_get = (
        "unpack the authors' birdsnap.tgz, release 1.1, into birdsnap/ below the data root and run its "
        "get_birdsnap.py there, so that the images are in images/ or in download/images/"
    )
    notes = "The authors' split; many of the linked images are gone, so that copies differ and so do results."

    def read(self, folder: Path, split: str) -> ImageFiles:
        """See `Collection.read`."""
        with reading(self.title, folder):
            species = {int(row["id"]): row["common"] for row in _table(folder / "species.txt")}
            classes = [species[number] for number in range(1, len(species) + 1)]
            tests = {row["path"] for row in _table(folder / "test_images.txt")}
            label = {
                row["path"]: int(row["species_id"]) - 1
                for row in _table(folder / "images.txt")
                if (row["path"] in tests) == (split == "test")
            }
        base = next((folder / name for name in IMAGES if (folder / name).is_dir()), None)
        if base is None:
            raise ValueError(f"{self.title}: {folder} has no images, {self.how_to_get}.")
        gone = {str(path.relative_to(base)) for path in missing([base / path for path in label])}
        if len(gone) == len(label):
            raise ValueError(f"{self.title}: {base} has none of the {split} images, {self.how_to_get}.")
        if gone:
            log.warning("%s lacks %d of the %d published %s images.", base, len(gone), len(label), split)
        here = [path for path in label if path not in gone]
        label_N = torch.tensor([label[path] for path in here])
        return from_lists([base / path for path in here], label_N, base, classes, self.title)


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))
