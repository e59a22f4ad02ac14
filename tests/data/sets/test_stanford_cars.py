"""Stanford Cars as its devkit has it: structures in .mat files, classes from 1, paths without folder."""

import numpy as np
import pytest
from scipy.io import savemat

from ctc_lightning.data.sets.stanford_cars import StanfordCars

CLASSES = ["AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Ferrari FF Coupe 2012"]
# Split -> image -> (class from 1, grey level)
IMAGES = {
    "train": {"00001.jpg": (3, 10), "00002.jpg": (1, 20), "00003.jpg": (2, 30), "00004.jpg": (3, 40)},
    "test": {"00001.jpg": (2, 50), "00002.jpg": (3, 60)},
}


@pytest.fixture
def folder(tmp_path, tiny_images):
    base = tmp_path / "stanford_cars"
    (base / "devkit").mkdir(parents=True)
    fields = [(f"bbox_{side}", "O") for side in ("x1", "y1", "x2", "y2")] + [("class", "O"), ("fname", "O")]
    lists = {"train": "devkit/cars_train_annos.mat", "test": "cars_test_annos_withlabels.mat"}
    for split, images in IMAGES.items():
        rows = [(1, 1, 8, 8, label, name) for name, (label, _) in images.items()]
        savemat(base / lists[split], {"annotations": np.array(rows, dtype=fields)[None]})
        for name, (_, level) in images.items():
            tiny_images.write(base / f"cars_{split}" / name, level)
    savemat(base / "devkit" / "cars_meta.mat", {"class_names": np.array(CLASSES, dtype=object)[None]})
    return base


@pytest.mark.parametrize(
    ("split", "label_of_level"), [("train", {10: 2, 20: 0, 30: 1, 40: 2}), ("test", {50: 1, 60: 2})]
)
def test_every_image_has_the_label_of_its_car(folder, tiny_images, split, label_of_level):
    files = StanfordCars().read(folder, split)
    assert files.classes["class"] == tuple(CLASSES)
    assert dict(zip(tiny_images.levels(files), files.labels["class"].tolist(), strict=True)) == label_of_level


def test_found_below_the_data_root(folder):
    collection = StanfordCars()
    assert collection.find(folder.parent) == folder
    assert not collection.missing(folder)
    (folder / "cars_test_annos_withlabels.mat").unlink()
    assert collection.missing(folder) == ["cars_test_annos_withlabels.mat"]


def test_read_below_a_relative_root(folder, monkeypatch, tiny_images):
    from pathlib import Path

    monkeypatch.chdir(folder.parent)
    files = StanfordCars().read(Path("stanford_cars"), "test")
    assert tiny_images.levels(files) == [50, 60]


def test_no_command_downloads_it_and_the_error_says_what_to_do(tmp_path, one_sentence):
    with pytest.raises(ValueError, match="cannot be downloaded") as error:
        StanfordCars().download(tmp_path)
    assert "cars_test_annos_withlabels.mat into stanford_cars/" in str(error.value)


def test_a_folder_of_another_name(folder, one_sentence):
    folder = folder.rename(folder.parent / "cars")
    with pytest.raises(ValueError, match="a folder named stanford_cars only") as error:
        StanfordCars().read(folder, "train")
    one_sentence(error, str(folder))


def test_images_in_a_folder_too_many(folder, tiny_images, one_sentence):
    # As the copies on the web are packed: cars_train/cars_train/00001.jpg
    inner = folder / "cars_train" / "cars_train"
    inner.mkdir()
    for path in (folder / "cars_train").glob("*.jpg"):
        path.rename(inner / path.name)
    with pytest.raises(ValueError, match="lacks 4 of the 4 images") as error:
        StanfordCars().read(folder, "train")
    one_sentence(error, str(folder / "cars_train"), "00001.jpg")


def test_a_list_that_is_no_mat_file(folder, one_sentence):
    (folder / "devkit" / "cars_train_annos.mat").write_text("404: not found" * 40)
    with pytest.raises(ValueError, match=r"lists of Stanford Cars .* cannot be read") as error:
        StanfordCars().read(folder, "train")
    one_sentence(error)
