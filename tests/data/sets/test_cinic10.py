"""CINIC-10: the images of train, valid and test folders with the class of their folder."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from ctc_lightning.data.sets.cinic10 import CINIC10

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FOLDERS = {"train": "train", "val": "valid", "test": "test"}
EACH = 2


@pytest.fixture
def root(tmp_path):
    """Images whose colour says their class, their split and their place in the class."""
    for s, folder in enumerate(FOLDERS.values()):
        for c, name in enumerate(CLASSES):
            (tmp_path / folder / name).mkdir(parents=True)
            for n in range(EACH):
                image_HWC = np.full((32, 32, 3), (c, s, n), np.uint8)
                file = f"n0{9 - n}-{name}.png"  # the later one is the first by name
                Image.fromarray(image_HWC).save(tmp_path / folder / name / file)
    return tmp_path


def test_the_published_numbers():
    collection = CINIC10()
    assert collection.counts == {"train": 90_000, "val": 90_000, "test": 90_000}
    assert collection.num_classes == {"class": 10}
    assert (collection.metric, collection.channels, collection.image_size) == ("top1", 3, 32)
    assert "evaluates on valid" in collection.notes, "what the reference's protocol does"


@pytest.mark.parametrize("split", FOLDERS)
def test_every_image_has_the_class_of_its_folder(root, split):
    files = CINIC10().read(root, split)
    assert len(files) == EACH * len(CLASSES)
    assert files.labels["class"].dtype == torch.int64
    assert files.classes == {"class": tuple(CLASSES)}
    shown = [Image.open(files.path(row)).getpixel((0, 0)) for row in range(len(files))]
    assert [c for c, _, _ in shown] == files.labels["class"].tolist()
    assert {s for _, s, _ in shown} == {list(FOLDERS).index(split)}
    assert shown == sorted(shown, key=lambda pixel: (pixel[0], -pixel[2])), "by class, then by file name"


def test_what_is_missing_is_named(root):
    assert CINIC10().missing(root) == []
    shutil.rmtree(root / "valid")
    assert CINIC10().missing(root) == ["valid"]
    shutil.rmtree(root / "train" / "frog")
    with pytest.raises(ValueError, match=f"{root / 'train'} lacks 'frog'"):
        CINIC10().read(root, "train")


def test_a_class_without_images_is_refused(root):
    for path in (root / "test" / "ship").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="'ship'"):
        CINIC10().read(root, "test")


def test_the_command_that_downloads_says_where_it_is_instead(tmp_path):
    with pytest.raises(
        ValueError, match=r"CINIC-10 cannot be downloaded by a command: .*DataShare.*train/CLASS"
    ):
        CINIC10().download(tmp_path)
