"""Stanford Cars: makes, models and years of cars."""

from collections.abc import Mapping
from pathlib import Path

from torchvision import datasets

from ctc_lightning.data.collection import Collection
from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.data.listed import from_pairs, reading, undecoded


class StanfordCars(Collection):
    """196 makes, models and years, each split about half and half.

    Source: Krause et al., "3D object representations for fine-grained categorization", 3dRR 2013; read by
    torchvision.
    """

    title = "Stanford Cars"
    counts: Mapping[str, int] = {"train": 8144, "test": 8041}
    num_classes: Mapping[str, int] = {"class": 196}
    folder = "stanford_cars"
    needs = (
        "devkit/cars_meta.mat",
        "devkit/cars_train_annos.mat",
        "cars_test_annos_withlabels.mat",
        "cars_train",
        "cars_test",
    )
    how_to_get = (
        "its host is gone (pytorch/vision issue 7545 names copies): put cars_train/, cars_test/, devkit/ and "
        "cars_test_annos_withlabels.mat into stanford_cars/ below the data root"
    )
    notes = "The authors' split."

    def read(self, folder: Path, split: str) -> ImageFiles:
        """See `Collection.read`."""
        own = folder.absolute()
        if own.name != self.folder:
            raise ValueError(
                f"{self.title} lies in {own}, but torchvision reads it from a folder named {self.folder} "
                "only: rename yours."
            )
        with reading(self.title, folder):
            dataset, pairs = undecoded(datasets.StanfordCars, own.parent, split=split)
        return from_pairs(pairs, own / f"cars_{split}", dataset.classes, self.title)
