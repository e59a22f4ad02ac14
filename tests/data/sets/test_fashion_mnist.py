"""Fashion-MNIST: pixels and labels of the official idx files."""

import gzip
import hashlib
import struct

import numpy as np
import pytest
import torch
from torchvision import datasets

from ctc_lightning.data.sets.fashion_mnist import FashionMNIST

PREFIX = {"train": "train", "test": "t10k"}
SIZES = {"train": 20, "test": 10}


def idx(array):
    """The idx format: two zeros, 8 for bytes, number of axes, big-endian sizes, then the bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def written(tmp_path):
    """The root, and split -> (pixels (N, H, W), labels)."""
    raw = tmp_path / "root" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(4)
    content = {}
    for split, size in SIZES.items():
        image_NHW = rng.integers(0, 256, (size, 28, 28), dtype=np.uint8)
        label_N = rng.permutation(np.arange(size) % 10).astype(np.uint8)
        (raw / f"{PREFIX[split]}-images-idx3-ubyte").write_bytes(idx(image_NHW))
        (raw / f"{PREFIX[split]}-labels-idx1-ubyte").write_bytes(idx(label_N))
        content[split] = image_NHW, label_N
    return tmp_path / "root", content


@pytest.mark.parametrize("split", SIZES)
def test_images_and_labels_are_those_of_the_files(written, split):
    root, content = written
    images = FashionMNIST().read(root, split)
    image_NHW, label_N = content[split]
    assert images.image.dtype == torch.uint8
    assert images.image.shape == (SIZES[split], 1, 28, 28)
    assert np.array_equal(images.image[:, 0].numpy(), image_NHW)
    assert images.labels["class"].dtype == torch.int64
    assert images.labels["class"].tolist() == label_N.tolist()
    names = images.classes["class"]
    assert len(names) == 10
    assert (names[0], names[1], names[8], names[9]) == ("T-shirt/top", "Trouser", "Bag", "Ankle boot")


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-5])


def not_idx(path):
    path.write_bytes(b"<html>not found</html>")


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut_short, not_idx, empty])
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
def test_a_damaged_file_is_refused(written, damage, file):
    root, _ = written
    damage(root / "FashionMNIST" / "raw" / file)
    with pytest.raises(ValueError, match="Fashion-MNIST is corrupted") as refused:
        FashionMNIST().read(root, "train")
    assert f"delete {root / 'FashionMNIST'} and get it by" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("file", "array", "problem"),
    [
        ("labels-idx1-ubyte", np.full(20, 10, np.uint8), "labels are 10 to 10 instead of 0 to 9"),
        ("labels-idx1-ubyte", np.zeros(19, np.uint8), "there are 19 labels of 20 images"),
        (
            "images-idx3-ubyte",
            np.zeros((20, 28, 27), np.uint8),
            r"images are \(1, 28, 27\) instead of \(1, 28, 28\)",
        ),
    ],
)
def test_files_of_another_set_are_refused(written, file, array, problem):
    root, _ = written
    (root / "FashionMNIST" / "raw" / f"train-{file}").write_bytes(idx(array))
    with pytest.raises(ValueError, match=f"Fashion-MNIST is corrupted, {problem}: delete"):
        FashionMNIST().read(root, "train")


@pytest.mark.parametrize("file", FashionMNIST.needs)
def test_a_missing_file_is_named(written, file):
    root, _ = written
    assert FashionMNIST().missing(root) == []
    (root / file).unlink()
    with pytest.raises(ValueError, match=f"Fashion-MNIST in {root} lacks {file}: get it by python"):
        FashionMNIST().read(root, "train")


def test_downloads_are_verified_and_unpacked(written, web, tmp_path, monkeypatch):
    folder, address = web
    root, content = written
    resources = []
    for path in sorted((root / "FashionMNIST" / "raw").iterdir()):
        packed = folder / f"{path.name}.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        resources.append((packed.name, hashlib.md5(packed.read_bytes()).hexdigest()))
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [f"{address}/"])
    monkeypatch.setattr(datasets.FashionMNIST, "resources", resources)
    FashionMNIST().download(tmp_path / "new")
    labels = FashionMNIST().read(tmp_path / "new", "test").labels["class"]
    assert labels.tolist() == content["test"][1].tolist()

    monkeypatch.setattr(datasets.FashionMNIST, "resources", [(name, "0" * 32) for name, _ in resources])
    with pytest.raises(ValueError, match="Fashion-MNIST could not be downloaded") as refused:
        FashionMNIST().download(tmp_path / "other")
    assert len(str(refused.value).splitlines()) == 1
