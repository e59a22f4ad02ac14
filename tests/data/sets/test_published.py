"""What publishers fixed: the images of each split and in all, classes, the metric that the field reports."""

import pytest

from ctc_lightning.data.sets.cifar10 import CIFAR10
from ctc_lightning.data.sets.cifar100 import CIFAR100
from ctc_lightning.data.sets.dtd import DTD
from ctc_lightning.data.sets.fashion_mnist import FashionMNIST
from ctc_lightning.data.sets.fgvc_aircraft import FGVCAircraft
from ctc_lightning.data.sets.flowers102 import Flowers102
from ctc_lightning.data.sets.food101 import Food101
from ctc_lightning.data.sets.oxford_pets import OxfordPets
from ctc_lightning.data.sets.stanford_cars import StanfordCars
from ctc_lightning.data.sets.stl10 import STL10
from ctc_lightning.data.sets.sun397 import SUN397
from ctc_lightning.data.sets.svhn import SVHN
from ctc_lightning.data.sets.voc2007 import VOC2007

ALL = ("train", "val", "test")
TWO = ("train", "test")
PUBLISHED = [
    (CIFAR10(), TWO, (50_000, 10_000), 60_000, 10, "top1", (3, 32)),
    (STL10(), TWO, (5_000, 8_000), 13_000, 10, "top1", (3, 96)),
    (FashionMNIST(), TWO, (60_000, 10_000), 70_000, 10, "top1", (1, 28)),
    (SVHN(), TWO, (73_257, 26_032), 99_289, 10, "top1", (3, 32)),
    (SVHN(extra=True), TWO, (604_388, 26_032), 630_420, 10, "top1", (3, 32)),
    (FGVCAircraft(), ALL, (3334, 3333, 3333), 100 * 100, 100, "mean_per_class", (3, None)),
    (Food101(), TWO, (101 * 750, 101 * 250), 101_000, 101, "top1", (3, None)),
    (Flowers102(), ALL, (102 * 10, 102 * 10, 6149), 8189, 102, "mean_per_class", (3, None)),
    (DTD(), ALL, (1880, 1880, 1880), 47 * 120, 47, "top1", (3, None)),
    (OxfordPets(), TWO, (3680, 3669), 7349, 37, "mean_per_class", (3, None)),
    (StanfordCars(), TWO, (8144, 8041), 16_185, 196, "top1", (3, None)),
    (SUN397(), TWO, (397 * 50, 397 * 50), 397 * 100, 397, "top1", (3, None)),
    (VOC2007(), ALL, (2501, 2510, 4952), 9963, 20, "map_11_point", (3, None)),
]


@pytest.mark.parametrize(
    ("collection", "splits", "counts", "total", "num_classes", "metric", "image"), PUBLISHED
)
def test_the_published_numbers(collection, splits, counts, total, num_classes, metric, image):
    assert collection.counts == dict(zip(splits, counts, strict=True))
    assert sum(collection.counts.values()) == total
    assert collection.num_classes == {"class": num_classes}
    assert collection.metric == metric
    assert (collection.channels, collection.image_size) == image
    assert collection.multi_label == isinstance(collection, VOC2007)


def test_cifar100_has_two_labels_of_which_the_fine_one_is_the_default():
    collection = CIFAR100()
    assert collection.counts == {"train": 50_000, "test": 10_000}
    assert list(collection.num_classes.items()) == [("fine", 100), ("coarse", 20)]
    assert (collection.metric, collection.channels, collection.image_size) == ("top1", 3, 32)


def test_sun397_is_split_by_the_authors_first_partition():
    assert "partition 1" in SUN397().notes
