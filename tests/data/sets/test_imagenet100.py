"""ImageNet-100 reads only the classes of its list, in sorted order, whatever the list looks like."""

import pytest

from ctc_lightning.data.sets.imagenet100 import ImageNet100

WNIDS = ["n01440764", "n01443537", "n02012849", "n03126707"]


@pytest.fixture
def folder(tmp_path, tiny_images):
    for number, wnid in enumerate(WNIDS):
        tiny_images.write(tmp_path / "imagenet" / "train" / wnid / f"{wnid}_1.JPEG", 10 + 10 * number)
        tiny_images.write(tmp_path / "imagenet" / "val" / wnid / "ILSVRC2012_val_1.JPEG", 60 + 10 * number)
    return tmp_path / "imagenet"


@pytest.fixture
def listed(tmp_path):
    def write(text):
        path = tmp_path / "classes.txt"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(("split", "levels"), [("train", [10, 30]), ("test", [60, 80])])
def test_only_the_listed_classes_in_sorted_order(folder, listed, tiny_images, split, levels):
    collection = ImageNet100(listed("# two of them\nn02012849 crane, a bird\n\n  n01440764\n"))
    files = collection.read(folder, split)
    assert tiny_images.levels(files) == levels
    assert files.labels["class"].tolist() == [0, 1]
    assert files.classes["class"] == ("tench (n01440764)", "crane (n02012849)")
    assert collection.num_classes == {"class": 2}


def test_splits_are_known_and_their_sizes_are_not(folder, listed):
    collection = ImageNet100(str(listed("n01440764\nn01443537\n")))
    assert collection.available(folder) == ("train", "test")
    assert not collection.counts
    assert collection.find(folder.parent) == folder
    assert "2 classes of classes.txt" in collection.notes


def test_a_class_that_is_not_on_the_disk(folder, listed, one_sentence):
    collection = ImageNet100(listed("n01440764\nn15075141\n"))
    with pytest.raises(ValueError, match="lacks 'n15075141' of the 2 classes") as error:
        collection.read(folder, "train")
    one_sentence(error, str(folder / "train"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names 0 class"),
        ("# n01440764\nn01443537\n", "names 1 class"),
        ("n01440764\nn01443537\nn01440764\n", "names n01440764 twice"),
        ("n01440764\ntench\n", "names tench, which is no class of ImageNet"),
    ],
)
def test_a_list_that_is_wrong(listed, one_sentence, text, says):
    path = listed(text)
    with pytest.raises(ValueError, match=says) as error:
        ImageNet100(path)
    one_sentence(error, str(path))


def test_a_list_that_is_not_there(tmp_path, one_sentence):
    with pytest.raises(ValueError, match="There is no class list") as error:
        ImageNet100(tmp_path / "none.txt")
    one_sentence(error, str(tmp_path / "none.txt"), "data.collection.class_list")


def test_without_a_list_it_can_be_named_but_not_read(folder, one_sentence):
    collection = ImageNet100()
    assert dict(collection.num_classes) == {"class": None}
    assert "class_list" in collection.notes
    with pytest.raises(ValueError, match="has no list of classes") as error:
        collection.read(folder, "train")
    one_sentence(error, "data.collection.class_list")
