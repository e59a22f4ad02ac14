"""SUN397 as its archives have it: nested scenes, ClassName.txt, and partitions apart from the images."""

import pytest

from ctc_lightning.data.listed import undecoded
from ctc_lightning.data.sets.sun397 import SUN397

SCENES = ["/a/abbey", "/a/apartment_building/outdoor", "/y/youth_hostel"]
# Image -> its grey level; the last is in neither split, as two thirds of the images are
LEVEL = {
    "/a/abbey/sun_a.jpg": 10,
    "/a/abbey/sun_b.jpg": 20,
    "/a/apartment_building/outdoor/sun_a.jpg": 30,
    "/y/youth_hostel/sun_c.jpg": 40,
    "/y/youth_hostel/sun_d.jpg": 50,
    "/y/youth_hostel/sun_e.jpg": 60,
}
SPLITS = {"Training_01": [5, 3, 1], "Testing_01": [2, 4], "Training_02": [6]}


@pytest.fixture
def folder(tmp_path, tiny_images):
    base = tmp_path / "SUN397"
    (base / "Partitions").mkdir(parents=True)
    (base / "ClassName.txt").write_text("".join(f"{scene}\n" for scene in SCENES))
    for name, level in LEVEL.items():
        tiny_images.write(base / name[1:], level)
    names = list(LEVEL)
    for split, numbers in SPLITS.items():
        lines = "".join(f"{names[number - 1]}\n" for number in numbers)
        (base / "Partitions" / f"{split}.txt").write_text(lines)
    return base


@pytest.mark.parametrize(
    ("split", "label_of_level"), [("train", {50: 2, 30: 1, 10: 0}), ("test", {20: 0, 40: 2})]
)
def test_every_image_has_the_label_of_its_scene(folder, tiny_images, split, label_of_level):
    files = SUN397().read(folder, split)
    assert files.classes["class"] == ("abbey", "apartment_building/outdoor", "youth_hostel")
    assert dict(zip(tiny_images.levels(files), files.labels["class"].tolist(), strict=True)) == label_of_level


def test_labels_are_those_of_torchvision(folder):
    from torchvision import datasets

    theirs, pairs = undecoded(datasets.SUN397, folder.parent)
    label = dict(pairs)
    ours = SUN397().read(folder, "test")
    assert ours.labels["class"].tolist() == [label[ours.path(row)] for row in range(len(ours))]
    assert ours.classes["class"] == tuple(theirs.classes)


def test_found_below_the_data_root(folder):
    collection = SUN397()
    assert collection.find(folder.parent) == folder
    (folder / "Partitions" / "Testing_01.txt").unlink()
    assert collection.missing(folder) == ["Partitions/Testing_01.txt"]


def test_no_command_downloads_it_and_the_error_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="cannot be downloaded") as error:
        SUN397().download(tmp_path)
    assert "Partitions.zip into SUN397/Partitions/" in str(error.value)


def test_an_image_that_is_listed_but_not_there(folder, one_sentence):
    (folder / "y" / "youth_hostel" / "sun_c.jpg").unlink()
    with pytest.raises(ValueError, match="lacks 1 of the 2 images") as error:
        SUN397().read(folder, "test")
    one_sentence(error, "y/youth_hostel/sun_c.jpg")


def test_a_scene_that_has_no_class(folder, one_sentence):
    (folder / "ClassName.txt").write_text("/a/abbey\n")
    with pytest.raises(ValueError, match=r"lists of SUN397 .* cannot be read") as error:
        SUN397().read(folder, "train")
    one_sentence(error, "youth_hostel")
