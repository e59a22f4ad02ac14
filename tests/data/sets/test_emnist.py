"""EMNIST: six splits of the official idx files, their classes, and images as a person reads them."""

import gzip
import hashlib
import struct
import zipfile
from string import ascii_lowercase, ascii_uppercase, digits

import numpy as np
import pytest
import torch
from torchvision import datasets

from ctc_lightning.data.sets.emnist import EMNIST

# Cohen et al. 2017: classes, train, test
PUBLISHED = {
    "byclass": (62, 697_932, 116_323),
    "bymerge": (47, 697_932, 116_323),
    "balanced": (47, 112_800, 18_800),
    "letters": (26, 124_800, 20_800),
    "digits": (10, 240_000, 40_000),
    "mnist": (10, 60_000, 10_000),
}
# bymerge keeps the small letters that do not look like their capitals
MERGED = digits + ascii_uppercase + "abdefghnqrt"
CLASSES = {
    "byclass": digits + ascii_uppercase + ascii_lowercase,
    "bymerge": MERGED,
    "balanced": MERGED,
    "letters": ascii_lowercase,
    "digits": digits,
    "mnist": digits,
}
EACH = 2


def idx(array):
    """The idx format: two zeros, 8 for bytes, number of axes, big-endian sizes, then the bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write(root, split, part, image_NHW, label_N):
    """The files keep their pixels column by column."""
    raw = root / "EMNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    (raw / f"emnist-{split}-{part}-images-idx3-ubyte").write_bytes(idx(image_NHW.transpose(0, 2, 1)))
    (raw / f"emnist-{split}-{part}-labels-idx1-ubyte").write_bytes(idx(label_N))


def draw(split, rng):
    """Every class of a split twice, in random order: pixels and classes from 0."""
    class_N = rng.permutation(np.arange(EACH * PUBLISHED[split][0]) // EACH)
    return rng.integers(0, 256, (len(class_N), 28, 28), dtype=np.uint8), class_N.astype(np.uint8)


def write_split(root, split):
    rng = np.random.default_rng(5)
    content = {part: draw(split, rng) for part in ("train", "test")}
    for part, (image_NHW, class_N) in content.items():
        write(root, split, part, image_NHW, class_N + (split == "letters"))
    return content


@pytest.mark.parametrize("split", PUBLISHED)
def test_the_published_numbers(split):
    collection = EMNIST(split)
    num_classes, train, test = PUBLISHED[split]
    assert collection.counts == {"train": train, "test": test}
    assert collection.num_classes == {"class": num_classes}
    assert (collection.metric, collection.channels, collection.image_size) == ("top1", 1, 28)


@pytest.mark.parametrize("split", PUBLISHED)
def test_labels_count_from_0_and_name_what_is_drawn(tmp_path, split):
    content = write_split(tmp_path, split)
    for part, (image_NHW, class_N) in content.items():
        images = EMNIST(split).read(tmp_path, part)
        assert images.labels["class"].dtype == torch.int64
        assert images.labels["class"].tolist() == class_N.tolist()
        assert images.image.dtype == torch.uint8
        assert np.array_equal(images.image.numpy(), image_NHW[:, None])
        assert images.classes == {"class": tuple(CLASSES[split])}


def test_images_are_upright(tmp_path):
    L_HW = np.zeros((28, 28), np.uint8)
    L_HW[4:24, 6] = L_HW[23, 6:20] = 255  # down the left, then along the bottom
    for part in ("train", "test"):
        write(tmp_path, "letters", part, L_HW[None], np.array([12], np.uint8))
    images = EMNIST("letters").read(tmp_path, "test")
    assert np.array_equal(images.image[0, 0].numpy(), L_HW)
    assert images.classes["class"][images.labels["class"][0]] == "l"
    as_torchvision_has_it = datasets.EMNIST(tmp_path, "letters", train=False).data[0]
    assert torch.equal(images.image[0, 0], as_torchvision_has_it.T)


@pytest.mark.parametrize(
    ("split", "label", "problem"),
    [
        ("letters", 0, "labels are -1 to 0 instead of 0 to 25"),
        ("letters", 27, "labels are 0 to 26 instead of 0 to 25"),
        ("mnist", 10, "labels are 1 to 10 instead of 0 to 9"),
    ],
)
def test_a_label_that_is_no_class_is_refused(tmp_path, split, label, problem):
    write_split(tmp_path, split)
    write(tmp_path, split, "train", np.zeros((2, 28, 28), np.uint8), np.array([1, label], np.uint8))
    with pytest.raises(ValueError, match=f"EMNIST is corrupted, {problem}: delete {tmp_path / 'EMNIST'} and"):
        EMNIST(split).read(tmp_path, "train")


def test_a_file_cut_short_is_refused(tmp_path):
    write_split(tmp_path, "digits")
    path = tmp_path / "EMNIST" / "raw" / "emnist-digits-test-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="EMNIST is corrupted") as refused:
        EMNIST("digits").read(tmp_path, "test")
    assert len(str(refused.value).splitlines()) == 1


def test_a_split_that_is_not_there_is_named(tmp_path):
    write_split(tmp_path, "digits")
    with pytest.raises(
        ValueError, match=r"EMNIST in .* lacks EMNIST/raw/emnist-letters-train-images-idx3-ubyte,"
    ):
        EMNIST("letters").read(tmp_path, "train")


@pytest.mark.parametrize("split", ["by_class", "", None])
def test_an_unknown_split_is_refused(split):
    with pytest.raises(ValueError, match=f"split is {split!r}; it must be one of 'byclass', "):
        EMNIST(split)


def test_the_archive_is_verified_and_unpacked(web, tmp_path, monkeypatch):
    folder, address = web
    content = write_split(tmp_path / "made", "balanced")
    archive = folder / "gzip.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in (tmp_path / "made" / "EMNIST" / "raw").iterdir():
            zipped.writestr(f"gzip/{path.name}.gz", gzip.compress(path.read_bytes()))
    monkeypatch.setattr(datasets.EMNIST, "url", f"{address}/{archive.name}")
    monkeypatch.setattr(datasets.EMNIST, "md5", hashlib.md5(archive.read_bytes()).hexdigest())
    EMNIST("balanced").download(tmp_path / "new")
    labels = EMNIST("balanced").read(tmp_path / "new", "test").labels["class"]
    assert labels.tolist() == content["test"][1].tolist()
