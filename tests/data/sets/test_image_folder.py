"""A user's own images: in train, val and test folders, or in one folder that is split by a seed."""

import os

import pytest

from ctc_lightning.data.sets.image_folder import ImageFolder

LEVEL = {"cat": 10, "dog": 20}


@pytest.fixture
def fill(tmp_path, tiny_images):
    """Write some images of each class into a folder of class folders."""

    def write(name, num, offset=0, classes=("cat", "dog")):
        for kind in classes:
            names = [f"{image:03d}.png" for image in range(num)]
            tiny_images.write_all(tmp_path / name / kind, names, LEVEL.get(kind, 90) + offset)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("Train", "Valid", "Test"),
        ("TRAINING", "validation", "testing"),
        ("training_set", "dev-set", "test set"),
        ("seg_train", "seg_val", "seg_test"),
        ("train2017", "val2017", "test2017"),
        ("train_images", "eval_images", "test_images"),
        ("01_train", "02_val", "03_test"),
    ],
)
def test_folders_of_splits(fill, tiny_images, train, val, test):
    folder = fill(train, 3)
    fill(val, 2, offset=100)
    fill(test, 1, offset=200)
    collection = ImageFolder()
    assert collection.available(folder) == ("train", "val", "test")
    for split, num, offset in (("train", 3, 0), ("val", 2, 100), ("test", 1, 200)):
        files = collection.read(folder, split)
        assert files.classes["class"] == ("cat", "dog")
        assert files.labels["class"].tolist() == [0] * num + [1] * num
        assert tiny_images.levels(files) == [10 + offset] * num + [20 + offset] * num


@pytest.mark.parametrize("others", [(), ("val",), ("test",)])
def test_only_the_splits_that_there_are(fill, others):
    folder = fill("train", 2)
    for split in others:
        fill(split, 2)
    (folder / "labels_backup").mkdir()
    assert ImageFolder().available(folder) == ("train", *others)


def test_one_folder_is_split_by_shares_of_every_class(fill, tiny_images):
    folder = fill(".", 40)
    collection = ImageFolder(test_share=0.25)
    assert collection.available(folder) == ("train", "test")
    splits = {split: collection.read(folder, split) for split in collection.available(folder)}
    for split, num in {"train": 30, "test": 10}.items():
        assert splits[split].labels["class"].bincount().tolist() == [num, num]
        levels = [LEVEL[("cat", "dog")[label]] for label in splits[split].labels["class"].tolist()]
        assert tiny_images.levels(splits[split]) == levels
    names = [name for files in splits.values() for name in files.name.tolist()]
    assert len(names) == len(set(names)) == 80


def test_the_seed_chooses_the_split(fill):
    folder = fill(".", 40)

    def names(split, **options):
        return ImageFolder(**options).read(folder, split).name.tolist()

    assert names("test") == names("test")
    assert names("test") != names("test", split_seed=1)


def test_a_share_of_none_is_no_split(fill):
    folder = fill(".", 20)
    collection = ImageFolder(test_share=0)
    assert collection.available(folder) == ("train",)
    assert len(collection.read(folder, "train")) == 40


def test_one_folder_is_listed_once_for_all_splits(fill, monkeypatch):
    folder = fill(".", 20)
    scanned = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scanned.append(str(path)) or scan(path))
    collection = ImageFolder()
    for split in collection.available(folder):
        collection.read(folder, split)
    assert scanned.count(str(folder / "cat")) == 1


def test_classes_may_have_the_names_of_splits(fill):
    folder = fill(".", 20, classes=("plane", "train"))
    collection = ImageFolder()
    assert collection.available(folder) == ("train", "test")
    assert collection.read(folder, "train").classes["class"] == ("plane", "train")


def test_numbers_are_not_known_in_advance(fill):
    assert not ImageFolder().counts
    assert dict(ImageFolder().num_classes) == {"class": None}
    folder = fill(".", 2)
    assert ImageFolder().find(folder) == folder


def test_classes_that_contain_the_word_are_no_splits(fill):
    classes = ("constrain", "latest", "trainer", "validator")
    folder = fill(".", 20, classes=classes)
    assert ImageFolder().read(folder, "train").classes["class"] == classes


def test_a_test_folder_without_classes_is_left_out(fill, tiny_images, caplog):
    folder = fill("train", 2)
    tiny_images.write(folder / "test" / "1.png", 5)
    collection = ImageFolder()
    assert collection.available(folder) == ("train",)
    collection.read(folder, "train")
    (line,) = [record.getMessage() for record in caplog.records]
    assert "is left out: it has none of the class folders of" in line
    assert str(folder / "test") in line


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_class_that_train_lacks(fill, one_sentence, split):
    folder = fill("train", 2)
    fill(split, 2, classes=("cat", "dog", "wolf"))
    with pytest.raises(ValueError, match="'wolf', which the training images lack") as error:
        ImageFolder().read(folder, split)
    one_sentence(error, str(folder / split))


def test_validation_without_training(fill, one_sentence):
    folder = fill("val", 2)
    fill("test", 2)
    with pytest.raises(ValueError, match="has val, test but no train folder") as error:
        ImageFolder().available(folder)
    one_sentence(error, str(folder))


def test_two_folders_for_validation(fill, one_sentence):
    folder = fill("train", 2)
    fill("val", 2)
    fill("valid", 2)
    with pytest.raises(ValueError, match="has val and valid for one split") as error:
        ImageFolder().available(folder)
    one_sentence(error)


def test_splits_without_class_folders(tmp_path, tiny_images, one_sentence):
    for split in ("train", "val"):
        tiny_images.write(tmp_path / split / "1.png", 0)
    with pytest.raises(ValueError, match="has no class folders") as error:
        ImageFolder().read(tmp_path, "train")
    one_sentence(error, str(tmp_path / "train"))


def test_a_root_that_is_not_there(tmp_path, one_sentence):
    with pytest.raises(ValueError, match="There is no folder") as error:
        ImageFolder().available(tmp_path / "nowhere")
    one_sentence(error, str(tmp_path / "nowhere"), "data.root=FOLDER")


@pytest.mark.parametrize("share", [-0.1, 1])
def test_a_share_out_of_range(share, one_sentence):
    with pytest.raises(ValueError, match=f"test_share is {share}") as error:
        ImageFolder(test_share=share)
    one_sentence(error)
