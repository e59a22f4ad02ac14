"""DTD as its archive has it: labels/SPLITn.txt name images/CLASS/CLASS_nnnn.jpg, in ten ways."""

import pytest

from ctc_lightning.data.sets.dtd import DTD

LEVEL = {"banded/banded_0002.jpg": 10, "banded/banded_0004.jpg": 20, "banded/banded_0005.jpg": 30}
LEVEL |= {name.replace("banded", "zigzagged"): level + 100 for name, level in LEVEL.items()}
SPLITS = {"train": "0002", "val": "0004", "test": "0005"}


@pytest.fixture
def folder(tmp_path, tiny_images):
    base = tmp_path / "dtd" / "dtd"
    (base / "labels").mkdir(parents=True)
    for name, level in LEVEL.items():
        tiny_images.write(base / "images" / name, level)
    for split, number in SPLITS.items():
        lines = [f"{name}\n" for name in reversed(LEVEL) if number in name]
        (base / "labels" / f"{split}1.txt").write_text("".join(lines))
    # Partition 7 trains on what partition 1 tests on
    for split, other in {"train": "test", "val": "val", "test": "train"}.items():
        (base / "labels" / f"{split}7.txt").write_text((base / "labels" / f"{other}1.txt").read_text())
    return tmp_path


@pytest.mark.parametrize(
    ("partition", "split", "label_of_level"),
    [
        (1, "train", {10: 0, 110: 1}),
        (1, "val", {20: 0, 120: 1}),
        (1, "test", {30: 0, 130: 1}),
        (7, "train", {30: 0, 130: 1}),
    ],
)
def test_every_image_has_the_label_of_its_texture(folder, tiny_images, partition, split, label_of_level):
    files = DTD(partition).read(folder, split)
    assert files.classes["class"] == ("banded", "zigzagged")
    assert dict(zip(tiny_images.levels(files), files.labels["class"].tolist(), strict=True)) == label_of_level


def test_needs_the_lists_of_its_partition(folder):
    assert DTD(1).find(folder) == folder
    assert not DTD(7).missing(folder)
    assert DTD(3).missing(folder) == [f"dtd/dtd/labels/{split}3.txt" for split in ("train", "val", "test")]
    assert "partition 3 of 10" in DTD(3).notes


@pytest.mark.parametrize("partition", [0, 11])
def test_a_partition_that_there_is_not(partition, one_sentence):
    with pytest.raises(
        ValueError, match=f"partition is {partition}; it must be one of 1, 2, 3, 4, 5, 6, 7, 8, 9, 10"
    ) as error:
        DTD(partition)
    one_sentence(error, "data.collection: partition")


def test_an_image_that_is_listed_but_not_there(folder, one_sentence):
    (folder / "dtd" / "dtd" / "images" / "banded" / "banded_0002.jpg").unlink()
    with pytest.raises(ValueError, match="lacks 1 of the 2 images") as error:
        DTD().read(folder, "train")
    one_sentence(error, "banded/banded_0002.jpg")


def test_a_list_of_something_else(folder, one_sentence):
    (folder / "dtd" / "dtd" / "labels" / "train1.txt").write_text("404 not found\n")
    with pytest.raises(ValueError, match=r"lists of DTD .* cannot be read") as error:
        DTD().read(folder, "train")
    one_sentence(error)
