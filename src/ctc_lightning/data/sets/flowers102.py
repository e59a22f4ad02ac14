"""Flowers-102: species of flowers."""

from collections.abc import Mapping

from torchvision import datasets

from ctc_lightning.data.listed import ListedCollection


class Flowers102(ListedCollection):
    """102 flowers: 10 training and 10 validation images of each, and a test set that is not balanced.

    Source: Nilsback, Zisserman, "Automated flower classification over a large number of classes", ICVGIP
    2008; read by torchvision, which checks that the two lists are the published files.
    """

    source = datasets.Flowers102
    title = "Flowers-102"
    counts: Mapping[str, int] = {"train": 1020, "val": 1020, "test": 6149}
    num_classes: Mapping[str, int] = {"class": 102}
    metric = "mean_per_class"
    folder = "flowers102"
    needs = ("flowers-102/imagelabels.mat", "flowers-102/setid.mat", "flowers-102/jpg")
    how_to_get = "get it by python -m ctc_lightning.data get flowers102 (0.3 GB)"
    notes = "The authors' split, whose test set is six times as large as its training set."
