"""STL-10: pixels, labels and names of the official binary files, without the unlabelled images."""

import hashlib
import tarfile

import numpy as np
import pytest
import torch

from ctc_lightning.data.sets.stl10 import STL10, LabelledSTL10

CLASSES = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
SIZES = {"train": 10, "test": 12}


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The root, and split -> (bytes of its images, labels 1..10)."""
    folder = tmp_path / "root" / "stl10_binary"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(3)
    content = {}
    for split, size in SIZES.items():
        pixels = rng.integers(0, 256, size * 3 * 96 * 96, dtype=np.uint8)
        labels = rng.permutation(np.arange(size) % 10 + 1).astype(np.uint8)
        (folder / f"{split}_X.bin").write_bytes(pixels.tobytes())
        (folder / f"{split}_y.bin").write_bytes(labels.tobytes())
        content[split] = pixels, labels
        files = [f"{split}_X.bin", f"{split}_y.bin"]
        monkeypatch.setattr(LabelledSTL10, f"{split}_list", [[file, md5(folder / file)] for file in files])
    (folder / "class_names.txt").write_text("\n".join(CLASSES) + "\n")
    return tmp_path / "root", content


def test_the_labelled_files_are_verified_and_the_unlabelled_ones_left_out():
    lists = LabelledSTL10.train_list + LabelledSTL10.test_list
    assert [file for file, _ in lists] == ["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"]
    assert all(len(checksum) == 32 for _, checksum in lists)


@pytest.mark.parametrize("split", SIZES)
def test_images_are_upright_and_labels_count_from_0(written, split):
    root, content = written
    images = STL10().read(root, split)
    pixels, labels = content[split]
    assert images.image.dtype == torch.uint8
    assert images.image.shape == (SIZES[split], 3, 96, 96)
    for n, c, y, x in [(0, 0, 0, 95), (1, 0, 95, 0), (4, 1, 17, 60), (9, 2, 60, 17)]:
        assert images.image[n, c, y, x] == pixels[27648 * n + 9216 * c + 96 * x + y], "column by column"
    assert images.labels["class"].dtype == torch.int64
    assert images.labels["class"].tolist() == [int(label) - 1 for label in labels]
    assert images.classes == {"class": tuple(CLASSES)}


@pytest.mark.parametrize("file", ["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"])
def test_a_file_with_another_checksum_is_refused(written, file):
    root, _ = written
    path = root / "stl10_binary" / file
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    with pytest.raises(ValueError, match="STL-10 is corrupted") as refused:
        STL10().read(root, "train")
    assert f"delete {root / 'stl10_binary'} and get it by" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_name_too_few_is_refused(written):
    root, _ = written
    (root / "stl10_binary" / "class_names.txt").write_text("\n".join(CLASSES[:9]))
    with pytest.raises(
        ValueError, match=r"there are 9 class names instead of 10: delete .*get stl10 \(2\.6 GB\)\.$"
    ):
        STL10().read(root, "test")


@pytest.mark.parametrize(
    "file", ["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "class_names.txt"]
)
def test_a_missing_file_is_named(written, file):
    root, _ = written
    assert STL10().missing(root) == []
    (root / "stl10_binary" / file).unlink()
    with pytest.raises(ValueError, match=f"STL-10 in {root} lacks stl10_binary/{file}: get it by python"):
        STL10().read(root, "train")


def test_the_archive_is_verified_and_unpacked(written, web, tmp_path, monkeypatch):
    folder, address = web
    root, content = written
    archive = folder / "stl10_binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(root / "stl10_binary", "stl10_binary")
    monkeypatch.setattr(LabelledSTL10, "url", f"{address}/{archive.name}")
    monkeypatch.setattr(LabelledSTL10, "tgz_md5", md5(archive))
    STL10().download(tmp_path / "new")
    labels = STL10().read(tmp_path / "new", "test").labels["class"]
    assert labels.tolist() == [int(label) - 1 for label in content["test"][1]]
