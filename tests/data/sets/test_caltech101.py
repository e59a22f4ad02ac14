"""Caltech-101 as its archive has it: folders of image_nnnn.jpg; 30 of each class train, all others test."""

import pytest

from ctc_lightning.data.sets.caltech101 import Caltech101

NUM_IMAGES = {"BACKGROUND_Google": 40, "Faces": 35, "accordion": 31}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_images):
    folder = tmp_path_factory.mktemp("caltech101")
    base = folder / "caltech101" / "101_ObjectCategories"
    for number, (name, count) in enumerate(NUM_IMAGES.items()):
        tiny_images.write_all(
            base / name, [f"image_{image:04d}.jpg" for image in range(1, count + 1)], 100 * number
        )
    # The one file in the published folders that is no image
    (base / "BACKGROUND_Google" / "tmp").write_text("")
    return folder


@pytest.mark.parametrize(("split", "counts"), [("train", [30, 30, 30]), ("test", [10, 5, 1])])
def test_thirty_images_of_every_class_train_and_all_others_test(folder, tiny_images, split, counts):
    files = Caltech101().read(folder, split)
    assert files.classes["class"] == tuple(NUM_IMAGES)
    assert files.labels["class"].bincount().tolist() == counts
    assert tiny_images.levels(files) == [100 * label for label in files.labels["class"].tolist()]


def test_no_image_is_in_both_splits_and_none_is_left_out(folder):
    train, test = (set(Caltech101().read(folder, split).name.tolist()) for split in ("train", "test"))
    assert not train & test
    assert len(train | test) == sum(NUM_IMAGES.values())


def test_the_split_stays_what_it_was(folder):
    # The one image of 31 whose hash comes last, from coreutils:
    # for i in $(seq 0 30); do printf "0 $i" | b2sum -l 64 | sed "s/-/$i/"; done | sort | tail -1
    files = Caltech101().read(folder, "test")
    assert files.name[files.labels["class"] == 2].tolist() == [b"accordion/image_%04d.jpg" % (8 + 1)]


def test_published_numbers():
    collection = Caltech101()
    assert collection.num_classes == {"class": 101 + 1}
    assert collection.counts["train"] == 102 * 30
    # 8677 images of 101 objects and 467 of the background
    assert sum(collection.counts.values()) == 8677 + 467
    assert collection.metric == "mean_per_class"
    assert "seed 0" in collection.notes


def test_found_where_torchvision_puts_it(folder, tmp_path):
    assert Caltech101().find(folder) == folder
    assert Caltech101().missing(tmp_path) == ["caltech101/101_ObjectCategories"]


def test_a_class_with_too_few_images(tmp_path, tiny_images, one_sentence):
    base = tmp_path / "caltech101" / "101_ObjectCategories"
    for name in ("accordion", "airplanes"):
        tiny_images.write_all(base / name, [f"image_{image:04d}.jpg" for image in range(30)], 0)
    with pytest.raises(ValueError, match=r"Class 0 has 30 image\(s\), must have more than the 30") as error:
        Caltech101().read(tmp_path, "train")
    one_sentence(error)
