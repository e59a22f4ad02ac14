"""Image sets joined, of both kinds."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ctc_lightning.data import ImageFiles, ImageSet
from ctc_lightning.data.image_set import join
from ctc_lightning.data.shards import ShardFiles

CLASSES = {"class": ("cat", "dog")}


def in_memory(number, *labels):
    image = torch.full((number, 3, 2, 2), number, dtype=torch.uint8)
    return ImageSet(image, {label: torch.arange(number) for label in labels}, CLASSES)


def test_tensors_follow_each_other_with_the_labels_that_both_have():
    first, second = in_memory(2, "class", "hue"), in_memory(3, "class", "size")
    both = join(first, second)
    assert isinstance(both, ImageSet)
    assert both.image[:, 0, 0, 0].tolist() == [2, 2, 3, 3, 3]
    assert {name: label.tolist() for name, label in both.labels.items()} == {"class": [0, 1, 0, 1, 2]}
    assert both.classes == CLASSES
    assert (len(first), len(second)) == (2, 3)


def test_several_classes_an_image_stay_so():
    def multi_label(rows):
        return ImageSet(
            torch.zeros(len(rows), 1, 1, 1, dtype=torch.uint8),
            {"class": torch.tensor(rows, dtype=torch.int8)},
        )

    both = join(multi_label([[0, 1]]), multi_label([[1, -1], [0, 0]]))
    assert both.labels["class"].dtype == torch.int8
    assert both.labels["class"].tolist() == [[0, 1], [1, -1], [0, 0]]


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        ("/data/set", "/data/set", "/data/set"),
        ("/data/set/train", "/data/set/val", "/data/set"),
        ("/a", "/b", "/"),
    ],
)
def test_files_keep_their_places_below_one_root(first, second, common):
    names = (["x/1.png", "é.png"], ["1.png"])
    files = [
        ImageFiles.of(Path(root), paths, {"class": torch.arange(len(paths))}, CLASSES)
        for root, paths in zip((first, second), names, strict=True)
    ]
    both = join(*files)
    assert isinstance(both, ImageFiles)
    assert both.root == Path(common)
    assert [both.path(row) for row in range(len(both))] == [
        Path(first, "x/1.png"),
        Path(first, "é.png"),
        Path(second, "1.png"),
    ]
    assert both.labels["class"].tolist() == [0, 1, 0]
    assert both.classes == CLASSES


def test_two_kinds_are_our_own_mistake(tmp_path):
    files = ImageFiles.of(tmp_path, ["1.png"], {}, {})
    for first, second in ((files, in_memory(1)), (in_memory(1), files)):
        with pytest.raises(AssertionError, match="in one way"):
            join(first, second)


def test_images_in_shards_are_refused_in_one_sentence(tmp_path):
    def shards(split, number):
        nowhere, at = np.zeros(0, np.bytes_), np.arange(number)
        place = {"url": str(tmp_path), "split": split, "position": at, "images_a_shard": 2}
        return ShardFiles(Path(), nowhere, {"class": torch.arange(number)}, CLASSES, **place)

    with pytest.raises(ValueError, match="are shards: protocols that train on images need files or") as error:
        join(shards("train", 3), shards("val", 2))
    assert str(tmp_path) in str(error.value)
