"""CIFAR-10: pixels, labels and names of the official python files, and nothing else is unpickled."""

import hashlib
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from ctc_lightning.data.sets.cifar10 import CIFAR10

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FILES = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
IMAGES_A_FILE = 4


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The files in tmp_path / "root", and what was written: file -> (rows of bytes, labels)."""
    folder = tmp_path / "root" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    content = {}
    for file in FILES:
        rows = rng.integers(0, 256, (IMAGES_A_FILE, 3072), dtype=np.uint8)
        labels = rng.integers(0, 10, IMAGES_A_FILE).tolist()
        entry = {"batch_label": file, "labels": labels, "data": rows, "filenames": ["x.png"] * IMAGES_A_FILE}
        (folder / file).write_bytes(pickle.dumps(entry, protocol=2))
        content[file] = rows, labels
    meta = {"num_cases_per_batch": 10_000, "label_names": CLASSES, "num_vis": 3072}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [[f, md5(folder / f)] for f in FILES[:5]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", md5(folder / "test_batch")]])
    md5_of_meta = {"filename": "batches.meta", "key": "label_names", "md5": md5(folder / "batches.meta")}
    monkeypatch.setattr(datasets.CIFAR10, "meta", md5_of_meta)
    return tmp_path / "root", content


@pytest.mark.parametrize(("split", "files"), [("train", FILES[:5]), ("test", FILES[5:])])
def test_images_and_labels_are_those_of_the_files_in_their_order(written, split, files):
    root, content = written
    images = CIFAR10().read(root, split)
    assert images.image.dtype == torch.uint8
    assert images.image.shape == (IMAGES_A_FILE * len(files), 3, 32, 32)
    assert images.labels["class"].dtype == torch.int64
    assert images.labels["class"].tolist() == [label for file in files for label in content[file][1]]
    rows = np.concatenate([content[file][0] for file in files])
    for n, c, y, x in [(0, 0, 0, 0), (1, 0, 3, 30), (2, 1, 30, 3), (3, 2, 31, 0)]:
        assert images.image[n, c, y, x] == rows[n, 1024 * c + 32 * y + x], "red, green, blue; row by row"
    assert images.image.flatten().tolist() == rows.flatten().tolist()
    assert images.classes == {"class": tuple(CLASSES)}


@pytest.mark.parametrize("file", [*FILES, "batches.meta"])
def test_a_file_with_another_checksum_is_refused_without_unpickling_it(written, tmp_path, file):
    class Stranger:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    root, _ = written
    (root / "cifar-10-batches-py" / file).write_bytes(pickle.dumps(Stranger()))
    with pytest.raises(ValueError, match="CIFAR-10 is corrupted") as refused:
        CIFAR10().read(root, "train")
    assert not (tmp_path / "ran").exists()
    message = str(refused.value)
    assert f"delete {root / 'cifar-10-batches-py'} and get it by" in message
    assert message.endswith("python -m ctc_lightning.data get cifar10 (0.2 GB).")
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("file", [*FILES, "batches.meta"])
def test_a_missing_file_is_named(written, file):
    root, _ = written
    assert CIFAR10().missing(root) == []
    (root / "cifar-10-batches-py" / file).unlink()
    with pytest.raises(ValueError, match=f"CIFAR-10 in {root} lacks cifar-10-batches-py/{file}: get it by"):
        CIFAR10().read(root, "test")


def test_the_archive_is_verified_and_unpacked(written, web, tmp_path, monkeypatch):
    folder, address = web
    root, content = written
    archive = folder / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(root / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{address}/{archive.name}")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(archive))
    CIFAR10().download(tmp_path / "new")
    assert CIFAR10().read(tmp_path / "new", "test").labels["class"].tolist() == content["test_batch"][1]

    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", "0" * 32)
    with pytest.raises(ValueError, match=r"CIFAR-10 could not be downloaded into .*corrupted.*try again\.$"):
        CIFAR10().download(tmp_path / "other")


def test_no_answer_is_one_sentence(web, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{web[1]}/nowhere.tar.gz")
    with pytest.raises(ValueError, match="CIFAR-10 could not be downloaded") as refused:
        CIFAR10().download(tmp_path / "new")
    assert "check the connection" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
