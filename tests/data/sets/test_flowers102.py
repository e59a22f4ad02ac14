"""Flowers-102 as it is published: imagelabels.mat from 1, setid.mat with the numbers of the images."""

import numpy as np
import pytest
from scipy.io import savemat

from ctc_lightning.data.sets.flowers102 import Flowers102

LABELS = [77, 1, 102, 77, 1, 102, 77]  # of images 1 to 7, whose grey levels are 10 to 70
SPLITS = {"trnid": [6, 1], "valid": [7, 2], "tstid": [3, 4, 5]}


@pytest.fixture
def folder(tmp_path, tiny_images):
    base = tmp_path / "flowers-102"
    base.mkdir()
    savemat(base / "imagelabels.mat", {"labels": np.array([LABELS], np.uint8)})
    savemat(base / "setid.mat", {name: np.array([rows], np.uint16) for name, rows in SPLITS.items()})
    for number in range(1, 8):
        tiny_images.write(base / "jpg" / f"image_{number:05d}.jpg", 10 * number)
    return tmp_path


@pytest.fixture
def unchecked(monkeypatch):
    """torchvision accepts the published lists only, by their md5."""
    monkeypatch.setattr("torchvision.datasets.flowers102.check_integrity", lambda path, md5: True)


@pytest.mark.parametrize(
    ("split", "label_of_level"),
    [("train", {60: 101, 10: 76}), ("val", {70: 76, 20: 0}), ("test", {30: 101, 40: 76, 50: 0})],
)
@pytest.mark.usefixtures("unchecked")
def test_every_image_has_the_label_of_its_flower(folder, tiny_images, split, label_of_level):
    files = Flowers102().read(folder, split)
    assert dict(zip(tiny_images.levels(files), files.labels["class"].tolist(), strict=True)) == label_of_level


@pytest.mark.usefixtures("unchecked")
def test_names_of_the_flowers(folder):
    pytest.importorskip("torchvision", minversion="0.22")
    classes = Flowers102().read(folder, "val").classes["class"]
    assert len(classes) == 102
    assert (classes[0], classes[76]) == ("pink primrose", "passion flower")


def test_found_where_torchvision_puts_it(folder):
    assert Flowers102().find(folder) == folder
    (folder / "flowers-102" / "setid.mat").unlink()
    assert Flowers102().missing(folder) == ["flowers-102/setid.mat"]


def test_lists_that_are_not_the_published_ones(folder, one_sentence):
    with pytest.raises(ValueError, match=r"lists of Flowers-102 .* cannot be read") as error:
        Flowers102().read(folder, "train")
    one_sentence(error, "corrupted", str(folder))


@pytest.mark.usefixtures("unchecked")
def test_an_image_that_is_listed_but_not_there(folder, one_sentence):
    (folder / "flowers-102" / "jpg" / "image_00002.jpg").unlink()
    with pytest.raises(ValueError, match="lacks 1 of the 2 images") as error:
        Flowers102().read(folder, "val")
    one_sentence(error, "image_00002.jpg")
