"""Food-101: dishes."""

from collections.abc import Mapping

from torchvision import datasets

from ctc_lightning.data.listed import ListedCollection


class Food101(ListedCollection):
    """101 dishes: 750 training images of each, which were not cleaned, and 250 reviewed test images.

    Source: Bossard, Guillaumin, Van Gool, "Food-101", ECCV 2014; read by torchvision.
    """

    source = datasets.Food101
    title = "Food-101"
    counts: Mapping[str, int] = {"train": 75750, "test": 25250}
    num_classes: Mapping[str, int] = {"class": 101}
    folder = "food101"
    needs = ("food-101/meta/train.json", "food-101/meta/test.json", "food-101/images")
    how_to_get = "get it by python -m ctc_lightning.data get food101 (5 GB)"
    notes = "The authors' split; the training labels are noisy on purpose."
