"""CIFAR-100: both label sets of the official python files, and nothing else is unpickled."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from ctc_lightning.data.sets.cifar100 import CIFAR100

FINE = [f"fine {n:02d}" for n in range(100)]
COARSE = [f"coarse {n:02d}" for n in range(20)]
SIZES = {"train": 200, "test": 100}


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The root, and the entries of its files; a superclass has five fine classes, not in a row."""
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    rng = np.random.default_rng(1)
    coarse_of = rng.permutation(np.arange(100) % 20)
    entries = {}
    for split, size in SIZES.items():
        fine = rng.permutation(np.arange(size) % 100)
        entries[split] = {
            "filenames": [f"{n}.png" for n in range(size)],
            "batch_label": split,
            "fine_labels": fine.tolist(),
            "coarse_labels": coarse_of[fine].tolist(),
            "data": rng.integers(0, 256, (size, 3072), dtype=np.uint8),
        }
    meta = {"fine_label_names": FINE, "coarse_label_names": COARSE}
    for name, entry in {**entries, "meta": meta}.items():
        (folder / name).write_bytes(pickle.dumps(entry, protocol=2))
    monkeypatch.setattr(datasets.CIFAR100, "train_list", [["train", md5(folder / "train")]])
    monkeypatch.setattr(datasets.CIFAR100, "test_list", [["test", md5(folder / "test")]])
    md5_of_meta = {"filename": "meta", "key": "fine_label_names", "md5": md5(folder / "meta")}
    monkeypatch.setattr(datasets.CIFAR100, "meta", md5_of_meta)
    return tmp_path, entries


@pytest.mark.parametrize("split", SIZES)
def test_images_and_both_labels_are_those_of_the_files(written, split):
    root, entries = written
    images = CIFAR100().read(root, split)
    entry = entries[split]
    assert images.image.dtype == torch.uint8
    assert images.image.shape == (SIZES[split], 3, 32, 32)
    for n, c, y, x in [(0, 0, 0, 0), (7, 0, 3, 30), (50, 1, 30, 3), (99, 2, 31, 0)]:
        assert images.image[n, c, y, x] == entry["data"][n, 1024 * c + 32 * y + x]
    assert {label: y_N.dtype for label, y_N in images.labels.items()} == dict.fromkeys(
        ("fine", "coarse"), torch.int64
    )
    assert images.labels["fine"].tolist() == entry["fine_labels"]
    assert images.labels["coarse"].tolist() == entry["coarse_labels"]
    assert images.classes == {"fine": tuple(FINE), "coarse": tuple(COARSE)}


@pytest.mark.parametrize("file", ["train", "test", "meta"])
def test_a_file_with_another_checksum_is_refused_without_unpickling_it(written, tmp_path, file):
    class Stranger:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    root, _ = written
    (root / "cifar-100-python" / file).write_bytes(pickle.dumps(Stranger()))
    with pytest.raises(ValueError, match="CIFAR-100 is corrupted") as refused:
        CIFAR100().read(root, "train")
    assert not (tmp_path / "ran").exists()
    assert f"delete {root / 'cifar-100-python'} and get it by" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("file", ["train", "test", "meta"])
def test_a_missing_file_is_named(written, file):
    root, _ = written
    assert CIFAR100().missing(root) == []
    (root / "cifar-100-python" / file).unlink()
    with pytest.raises(
        ValueError, match=f"CIFAR-100 in {root} lacks cifar-100-python/{file}: get it by python"
    ):
        CIFAR100().read(root, "test")
