"""Food-101 as its archive has it: meta/*.json name the images of images/CLASS/."""

import json

import pytest

from ctc_lightning.data.sets.food101 import Food101

# Class -> split -> image -> its grey level
IMAGES = {
    "waffles": {"train": {"1001": 10, "73": 20}, "test": {"9": 30}},
    "apple_pie": {"train": {"1005649": 40}, "test": {"14": 50, "2": 60}},
}


@pytest.fixture
def folder(tmp_path, tiny_images):
    base = tmp_path / "food-101"
    (base / "meta").mkdir(parents=True)
    for split in ("train", "test"):
        listed = {dish: [f"{dish}/{name}" for name in of[split]] for dish, of in IMAGES.items()}
        (base / "meta" / f"{split}.json").write_text(json.dumps(listed))
    for dish, splits in IMAGES.items():
        for of_split in splits.values():
            for name, level in of_split.items():
                tiny_images.write(base / "images" / dish / f"{name}.jpg", level)
    return tmp_path


@pytest.mark.parametrize(
    ("split", "label_of_level"), [("train", {10: 1, 20: 1, 40: 0}), ("test", {30: 1, 50: 0, 60: 0})]
)
def test_every_image_has_the_label_of_its_dish(folder, tiny_images, split, label_of_level):
    files = Food101().read(folder, split)
    assert files.classes["class"] == ("apple_pie", "waffles")
    assert dict(zip(tiny_images.levels(files), files.labels["class"].tolist(), strict=True)) == label_of_level


def test_found_where_torchvision_puts_it(folder):
    collection = Food101()
    assert collection.find(folder) == folder
    assert not collection.missing(folder)
    (folder / "food-101" / "meta" / "test.json").unlink()
    assert collection.missing(folder) == ["food-101/meta/test.json"]


def test_an_image_that_is_listed_but_not_there(folder, one_sentence):
    (folder / "food-101" / "images" / "waffles" / "73.jpg").unlink()
    with pytest.raises(ValueError, match="lacks 1 of the 3 images") as error:
        Food101().read(folder, "train")
    one_sentence(error, "waffles/73.jpg")


def test_a_list_that_is_cut_short(folder, one_sentence):
    path = folder / "food-101" / "meta" / "train.json"
    path.write_text(path.read_text()[:20])
    with pytest.raises(ValueError, match=r"lists of Food-101 .* cannot be read") as error:
        Food101().read(folder, "train")
    one_sentence(error, "JSONDecodeError")
