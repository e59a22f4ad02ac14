"""SVHN: pixels and digits of the official mat files, with or without the extra images."""

import hashlib

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torchvision import datasets

from ctc_lightning.data.sets.svhn import SVHN

SIZES = {"train": 12, "test": 11, "extra": 13}


@pytest.fixture
def written(web, monkeypatch):
    """The root, and part -> (pixels (N, C, H, W), digits)."""
    folder, address = web
    rng = np.random.default_rng(2)
    content, split_list = {}, {}
    for part, size in SIZES.items():
        image_NCHW = rng.integers(0, 256, (size, 3, 32, 32), dtype=np.uint8)
        digit_N = rng.permutation(np.arange(size) % 10)
        path = folder / f"{part}_32x32.mat"
        in_file_N = np.where(digit_N == 0, 10, digit_N).astype(np.uint8)
        savemat(path, {"X": image_NCHW.transpose(2, 3, 1, 0), "y": in_file_N[:, None]})
        content[part] = image_NCHW, digit_N
        split_list[part] = [f"{address}/{path.name}", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(datasets.SVHN, "split_list", split_list)
    return folder, content


@pytest.mark.parametrize("split", ["train", "test"])
def test_images_are_upright_and_the_digit_0_is_class_0(written, split):
    root, content = written
    images = SVHN().read(root, split)
    image_NCHW, digit_N = content[split]
    assert images.image.dtype == torch.uint8
    assert np.array_equal(images.image.numpy(), image_NCHW)
    assert images.labels["class"].dtype == torch.int64
    assert images.labels["class"].tolist() == digit_N.tolist()
    assert images.classes == {"class": ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")}


def test_extra_images_follow_those_of_train(written):
    root, content = written
    images = SVHN(extra=True).read(root, "train")
    both = [np.concatenate([content["train"][i], content["extra"][i]]) for i in (0, 1)]
    assert np.array_equal(images.image.numpy(), both[0])
    assert images.labels["class"].tolist() == both[1].tolist()
    assert len(SVHN(extra=True).read(root, "test")) == SIZES["test"]


def test_extra_is_needed_only_where_it_is_asked_for(written):
    root, _ = written
    (root / "extra_32x32.mat").unlink()
    assert len(SVHN().read(root, "train")) == SIZES["train"]
    with pytest.raises(ValueError, match=r"SVHN in .* lacks extra_32x32\.mat: get it by python"):
        SVHN(extra=True).read(root, "train")


def test_a_choice_that_is_neither_true_nor_false_is_refused():
    with pytest.raises(ValueError, match="extra is 'all', must be true or false"):
        SVHN(extra="all")


@pytest.mark.parametrize("part", SIZES)
def test_a_file_with_another_checksum_is_refused_and_named(written, part):
    root, _ = written
    path = root / f"{part}_32x32.mat"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="SVHN is corrupted") as refused:
        SVHN(extra=True).read(root, "test" if part == "test" else "train")
    assert f"delete {path} and get it by" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("extra", [False, True])
def test_download_fetches_what_it_needs(written, tmp_path, extra):
    collection = SVHN(extra=extra)
    (tmp_path / "new").mkdir()
    collection.download(tmp_path / "new")
    assert collection.missing(tmp_path / "new") == []
    assert (tmp_path / "new" / "extra_32x32.mat").exists() == extra
