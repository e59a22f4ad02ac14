"""Features on disk: computed once, whole or not there, found by all that they depend on."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from ctc_lightning.data import ImageFiles, ImageSet
from ctc_lightning.data.shards import ShardFiles
from ctc_lightning.evaluation.feature_cache import FeatureCache, digest_of_images
from ctc_lightning.files import digests
from ctc_lightning.files.digests import digest_of, digest_of_tensors

KEY = {"network": "ab", "input": {"shape": (3, 8, 8), "mean": (0.1,)}}


@pytest.fixture
def extract():
    """Counts its calls; each time other features, as (N, F) in another dtype and layout."""

    class Extract:
        calls = 0

        def __call__(self):
            self.calls += 1
            h_NF = torch.arange(12.0, dtype=torch.float64).view(3, 4).t() + self.calls
            return h_NF, torch.tensor([0, 0, 2, 3])

    return Extract()


def numbers(extracted):
    return [tensor.tolist() for tensor in extracted]


def test_what_was_extracted_once_is_read_the_second_time(tmp_path, extract):
    expected = [(torch.arange(12.0).view(3, 4).t() + 1).tolist(), [0, 0, 2, 3]]
    for _ in range(2):  # another cache each time: as another process
        features, index = FeatureCache(tmp_path / "features").get(KEY, extract)
        assert (features.dtype, index.dtype) == (torch.float32, torch.int64)
        assert numbers((features, index)) == expected
    assert extract.calls == 1


def test_a_file_says_what_it_holds(tmp_path, extract):
    FeatureCache(tmp_path).get(KEY, extract)
    (path,) = tmp_path.iterdir()
    assert path.name == f"{digest_of(KEY)}.safetensors"
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"key": '{"network": "ab", "input": {"shape": [3, 8, 8], "mean": [0.1]}}'}


@pytest.mark.parametrize(
    "other",
    [
        {**KEY, "network": "cd"},
        {**KEY, "input": {"shape": (3, 8, 8), "mean": (0.1 + 1e-16,)}},
        {**KEY, "fit": "None"},
    ],
)
def test_another_key_is_another_file(other, tmp_path, extract):
    cache = FeatureCache(tmp_path)
    first, second = cache.get(KEY, extract), cache.get(other, extract)
    assert numbers(first) != numbers(second)
    assert extract.calls == len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "other tensors"])
def test_a_damaged_file_is_computed_again(damage, tmp_path, extract):
    FeatureCache(tmp_path).get(KEY, extract)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    other = FeatureCache(tmp_path / "other")
    damaged = {"empty": b"", "cut": whole[:-7], "noise": b"\xff" * len(whole)}.get(damage)
    if damaged is None:
        damaged = whole.replace(b'"features"', b'"textures"')
        assert damaged != whole
    path.write_bytes(damaged)
    again = numbers(FeatureCache(tmp_path).get(KEY, extract))
    assert extract.calls == 2
    assert again == numbers(FeatureCache(tmp_path).get(KEY, extract))
    assert extract.calls == 2
    assert not other.folder.exists()


def test_an_extraction_that_fails_leaves_nothing(tmp_path):
    def fail():
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        FeatureCache(tmp_path).get(KEY, fail)
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_nothing_is_kept(extract):
    cache = FeatureCache(None)
    first, second = cache.get(KEY, extract), cache.get(KEY, extract)
    assert extract.calls == 2
    assert numbers(first) != numbers(second)
    assert first[0].dtype == torch.float32


# ------------------------------------------------------------------------------------------------- digests


def test_digests_depend_on_values_and_not_on_the_order_of_names():
    assert re.fullmatch("[0-9a-f]{16}", digest_of(KEY))
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": (2,), "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})


def test_tensors_of_equal_bytes_differ_by_name_shape_and_dtype():
    tensor = torch.arange(6, dtype=torch.float32).view(2, 3)
    others = [
        {"b": tensor},
        {"a": tensor.view(3, 2)},
        {"a": tensor.view(torch.int32)},
        {"a": tensor + 1},
        {"a": tensor.flip(0)},
        {"a": tensor, "b": torch.empty(0)},
    ]
    found = [digest_of_tensors(tensors) for tensors in [{"a": tensor}, *others]]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8, torch.int64, torch.bool])
def test_the_layout_of_a_tensor_does_not_matter(dtype):
    image = torch.randint(0, 2, (2, 3, 4, 5), generator=torch.Generator().manual_seed(0)).to(dtype)
    other = image.contiguous(memory_format=torch.channels_last)
    assert digest_of_tensors({"a": image}) == digest_of_tensors({"a": other})
    assert digest_of_tensors({"a": image[0, 0, 0, 0]}) == digest_of_tensors({"a": image[0, 0, 0, 0].clone()})


def test_images_in_memory_differ_by_a_single_level_of_a_single_pixel():
    image = torch.zeros(4, 1, 3, 3, dtype=torch.uint8)
    changed = image.clone()
    changed[3, 0, 2, 2] = 1
    same = digest_of_images(ImageSet(image.clone(), {"y": torch.arange(4)}))
    assert digest_of_images(ImageSet(image, {})) == same
    assert digest_of_images(ImageSet(changed, {})) != same


def test_files_differ_by_folder_names_and_order(tmp_path):
    def files(root, *names):
        return digest_of_images(ImageFiles(root, np.array(names, dtype=np.bytes_), {}))

    several = [
        files(tmp_path, b"1.png", b"2.png"),
        files(tmp_path, b"2.png", b"1.png"),
        files(tmp_path, b"1.png", b"3.png"),
        files(tmp_path / "other", b"1.png", b"2.png"),
        files(tmp_path, b"1.png2.png"),
    ]
    assert len(set(several)) == len(several)
    assert files(tmp_path, b"1.png", b"2.png") == several[0]


def shards(url, split="train", position=(0, 1, 2), **changed):
    """As they are read: names that are files there are none."""
    place = {"url": str(url), "split": split, "position": np.array(position), "images_a_shard": 2}
    return ShardFiles(Path(), np.zeros(0, np.bytes_), {"y": torch.arange(len(position))}, **place, **changed)


def test_images_in_shards_differ_by_place_split_and_position(tmp_path, monkeypatch):
    several = [
        shards(tmp_path),
        shards(tmp_path / "other"),
        shards(tmp_path, "val"),
        shards(tmp_path, position=(0, 2, 1)),
        shards(tmp_path, position=(0, 1)),
        shards("s3://bucket/train"),
        shards("s3://other/train"),
        shards(tmp_path).rows(torch.tensor([2, 0])),
    ]
    found = [digest_of_images(files) for files in several]
    assert len(set(found)) == len(found)
    monkeypatch.chdir(tmp_path.parent)
    for same in (shards(tmp_path.name), shards(tmp_path, cache_dir="elsewhere")):
        assert digest_of_images(same) == found[0]


def test_pixels_are_not_copied_all_at_once(tmp_path, monkeypatch):
    """As those of a memory-mapped file, which lie there with the channels innermost."""
    pixel_NSSC = np.random.default_rng(0).integers(0, 256, (50, 10, 10, 3), np.uint8)
    np.save(tmp_path / "train.npy", pixel_NSSC)
    mapped = torch.from_numpy(np.load(tmp_path / "train.npy", mmap_mode="c")).permute(0, 3, 1, 2)
    whole = digest_of_images(ImageSet(mapped, {}))
    monkeypatch.setattr(digests, "_CHUNK", 2000)
    with torch.profiler.profile(profile_memory=True) as profile:
        in_parts = digest_of_images(ImageSet(mapped, {}))
    assert in_parts == whole
    assert 0 < max(event.cpu_memory_usage for event in profile.events()) <= 2000 + 64  # and its alignment
