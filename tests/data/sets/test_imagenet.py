"""ImageNet as everyone has it: train/WNID/*.JPEG and val/WNID/*.JPEG; the validation images test."""

import pytest
from timm.data import ImageNetInfo

from ctc_lightning.data.sets.imagenet import ImageNet

# Grey levels of the training and validation images of a tench and the two cranes
LEVELS = {"n01440764": (10, 60), "n02012849": (20, 70), "n03126707": (30, 80)}


@pytest.fixture
def folder(tmp_path, tiny_images):
    base = tmp_path / "imagenet"
    for number, (wnid, (train, val)) in enumerate(LEVELS.items()):
        tiny_images.write_all(base / "train" / wnid, [f"{wnid}_{image}.JPEG" for image in (10026, 2)], train)
        tiny_images.write(base / "val" / wnid / f"ILSVRC2012_val_{number:08d}.JPEG", val)
    return base


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", [(10, 0), (10, 0), (20, 1), (20, 1), (30, 2), (30, 2)]),
        ("test", [(60, 0), (70, 1), (80, 2)]),
    ],
)
def test_every_image_has_the_label_of_its_folder(folder, tiny_images, split, expected):
    files = ImageNet().read(folder, split)
    assert list(zip(tiny_images.levels(files), files.labels["class"].tolist(), strict=True)) == expected


def test_classes_are_named_so_that_no_two_names_are_the_same(folder):
    classes = ImageNet().read(folder, "test").classes["class"]
    assert classes == ("tench (n01440764)", "crane (n02012849)", "crane (n03126707)")


def test_published_numbers():
    collection = ImageNet()
    assert collection.counts == {"train": 1281167, "test": 50 * 1000}
    assert collection.num_classes == {"class": 1000}
    assert "official validation images" in collection.notes


def test_found_below_the_data_root_or_as_the_root(folder):
    collection = ImageNet()
    assert collection.find(folder.parent) == folder
    assert collection.find(folder) == folder
    (folder / "val").rename(folder / "validation")
    assert collection.missing(folder) == ["val"]


def test_reading_the_test_images_does_not_list_the_training_images(folder, monkeypatch):
    import os

    scanned = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scanned.append(str(path)) or scan(path))
    ImageNet().read(folder, "test")
    assert str(folder / "train") in scanned
    assert str(folder / "train" / "n01440764") not in scanned


def test_validation_images_that_are_not_sorted_into_classes(folder, tiny_images, one_sentence):
    for path in (folder / "val").glob("*/*"):
        path.rename(folder / "val" / path.name)
        path.parent.rmdir()
    with pytest.raises(ValueError, match="has no class folders") as error:
        ImageNet().read(folder, "test")
    one_sentence(error, str(folder / "val"))


def test_a_validation_class_without_training_images(folder, tiny_images, one_sentence):
    tiny_images.write(folder / "val" / "n01443537" / "x.JPEG", 0)
    with pytest.raises(ValueError, match="'n01443537', which the training images lack") as error:
        ImageNet().read(folder, "test")
    one_sentence(error)


def test_a_thousand_folders_with_other_names(tmp_path, one_sentence):
    for name in [*ImageNetInfo().label_names()[:-2], "tench", "goldfish"]:
        (tmp_path / "train" / name).mkdir(parents=True)
    with pytest.raises(ValueError, match="2 class folders that are none of ImageNet's") as error:
        ImageNet().read(tmp_path, "train")
    one_sentence(error, "goldfish", "WordNet ID")


def test_a_thousand_folders_with_the_right_names(tmp_path):
    for wnid in ImageNetInfo().label_names():
        (tmp_path / "train" / wnid).mkdir(parents=True)
        (tmp_path / "train" / wnid / f"{wnid}_1.JPEG").touch()
    files = ImageNet().read(tmp_path, "train")
    assert files.labels["class"].tolist() == list(range(1000))
    assert files.classes["class"][999] == "toilet tissue (n15075141)"
