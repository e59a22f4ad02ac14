"""FGVC-Aircraft: variants of aircraft."""

from collections.abc import Mapping
from typing import Any

from torchvision import datasets

from ctc_lightning.data.listed import ListedCollection


class FGVCAircraft(ListedCollection):
    """100 variants that can be told apart by eye, such as Boeing 737-700, with 100 images of each.

    Source: Maji et al., "Fine-grained visual classification of aircraft", arXiv 1306.5151; read by
    torchvision.
    """

    source = datasets.FGVCAircraft
    title = "FGVC-Aircraft"
    counts: Mapping[str, int] = {"train": 3334, "val": 3333, "test": 3333}
    num_classes: Mapping[str, int] = {"class": 100}
    metric = "mean_per_class"
    folder = "fgvc_aircraft"
    needs = (
        "fgvc-aircraft-2013b/data/variants.txt",
        "fgvc-aircraft-2013b/data/images_variant_train.txt",
        "fgvc-aircraft-2013b/data/images_variant_val.txt",
        "fgvc-aircraft-2013b/data/images_variant_test.txt",
        "fgvc-aircraft-2013b/data/images",
    )
    how_to_get = "get it by python -m ctc_lightning.data get fgvc_aircraft (2.6 GB)"
    notes = "The authors' split, release 2013b; classes are the variants."

    def options(self, split: str) -> dict[str, Any]:
        """See `ListedCollection.options`."""
        return {"split": split, "annotation_level": "variant"}
