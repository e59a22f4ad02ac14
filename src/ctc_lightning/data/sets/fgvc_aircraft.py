"""FGVC-Aircraft: variants of aircraft."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from torchvision import datasets

from ctc_lightning.data.collection import Collection, Metric
from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.data.listed import fetching, from_pairs, reading, undecoded


class FGVCAircraft(Collection):
    """100 variants that can be told apart by eye, such as Boeing 737-700, with 100 images of each.

    Source: Maji et al., "Fine-grained visual classification of aircraft", arXiv 1306.5151; read by
    torchvision.
    """

    title = "FGVC-Aircraft"
    counts: Mapping[str, int] = {"train": 3334, "val": 3333, "test": 3333}
    num_classes: Mapping[str, int] = {"class": 100}
    metric: ClassVar[Metric] = "mean_per_class"
    folder = "fgvc_aircraft"
    needs = (
        "fgvc-aircraft-2013b/data/variants.txt",
        "fgvc-aircraft-2013b/data/images_variant_train.txt",
        "fgvc-aircraft-2013b/data/images_variant_val.txt",
        "fgvc-aircraft-2013b/data/images_variant_test.txt",
        "fgvc-aircraft-2013b/data/images",
    )
    how_to_get = "get it by python -m ctc_lightning.data get fgvc_aircraft (2.6 GB)"
    downloads = True
    notes = "The authors' split, release 2013b; classes are the variants."

    def read(self, folder: Path, split: str) -> ImageFiles:
        """See `Collection.read`."""
        with reading(self.title, folder):
            dataset, pairs = undecoded(datasets.FGVCAircraft, folder, split=split, annotation_level="variant")
        base = folder / "fgvc-aircraft-2013b" / "data" / "images"
        return from_pairs(pairs, base, dataset.classes, self.title)

    def download(self, folder: Path) -> None:
        """See `Collection.download`."""
        with fetching(self.title, folder):
            datasets.FGVCAircraft(folder, download=True)
