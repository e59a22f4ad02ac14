"""The cache of decoded images: built once, whole or not there, and never stale."""

import logging
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from ctc_lightning.data.cache import ImageCache, fingerprint
from ctc_lightning.data.image_set import ImageSet
from ctc_lightning.data.in_memory import InMemoryDataModule

FILES = ["info.json", "labels.safetensors", "test.npy", "train.npy"]


def image_set(num, first=0):
    image = (torch.arange(num * 3 * 4 * 5) + first).remainder(251).to(torch.uint8).view(num, 3, 4, 5)
    labels = {"class": torch.arange(num) % 3, "both/of them": torch.eye(num, 2, dtype=torch.int8)}
    return ImageSet(image, labels, {"class": ("a", "b", "ç"), "both/of them": ("x", "y")})


def image_sets():
    return {"train": image_set(6), "test": image_set(4, first=7)}


def equal(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[split].image, other[split].image)
        and one[split].labels.keys() == other[split].labels.keys()
        and all(torch.equal(y, other[split].labels[label]) for label, y in one[split].labels.items())
        and one[split].classes == other[split].classes
        for split in one
    )


class Builder:
    """Counts how often it builds."""

    def __init__(self):
        self.count = 0

    def __call__(self, beside):
        self.count += 1
        return image_sets(), {"replaced": 2}


def not_needed(beside):
    raise AssertionError("it is there already")


@pytest.fixture
def cache(tmp_path):
    return ImageCache(tmp_path / "cache", "some.set", {"size": 4, "files": "abc"})


# ---------------------------------------------------------------------------------------------- what it keeps


def test_images_labels_and_class_names_come_back_as_they_were(cache):
    assert equal(cache.load(lambda beside: (image_sets(), {})), image_sets())
    assert equal(cache.load(not_needed), image_sets())


def test_it_is_built_once(cache, tmp_path):
    build = Builder()
    cache.load(build)
    other = ImageCache(tmp_path / "cache", "some.set", {"files": "abc", "size": 4})
    assert equal(other.load(build), image_sets())
    assert build.count == 1
    assert other.info["notes"] == {"replaced": 2}


def test_a_builder_may_put_the_pixels_there_itself(cache):
    def build(beside):
        pixels = np.lib.format.open_memmap(beside / "train.npy", "w+", np.uint8, (6, 4, 5, 3))
        pixels[:] = image_set(6).image.permute(0, 2, 3, 1).numpy()
        pixels.flush()
        image = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        return {"train": ImageSet(image, image_set(6).labels, image_set(6).classes)}, {}

    cache.load(build)
    assert equal(cache.load(not_needed), {"train": image_set(6)})


def test_labels_may_be_parts_of_one_tensor(cache):
    label = torch.arange(10) % 3
    sets = {"train": image_set(6), "val": image_set(4), "test": image_set(4)}
    parts = {"train": label[:6], "val": label[6:], "test": label[6:]}
    cache.load(lambda beside: ({s: ImageSet(i.image, {"class": parts[s]}, {}) for s, i in sets.items()}, {}))
    for split, images in cache.load(not_needed).items():
        assert torch.equal(images.labels["class"], parts[split])


def test_another_key_is_another_folder(tmp_path):
    caches = [ImageCache(tmp_path, "some.set", {"size": size}) for size in (4, 5)]
    for first, one in enumerate(caches):
        one.load(lambda beside, first=first: ({"train": image_set(6, first)}, {}))
    assert caches[0].path != caches[1].path
    for first, one in enumerate(caches):
        assert equal(one.load(not_needed), {"train": image_set(6, first)})


def test_writing_to_the_images_changes_no_file(cache):
    images = cache.load(Builder())["train"].image
    images.zero_()
    assert images.sum() == 0
    assert cache.damage() is None
    assert equal(cache.load(not_needed), image_sets())


def test_what_is_there_can_be_read_without_the_right_to_write(cache, monkeypatch):
    cache.load(Builder())

    def lock(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("ctc_lightning.data.cache.locked", lock)
    monkeypatch.setattr(Path, "mkdir", lock)
    assert equal(cache.load(not_needed), image_sets())


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, one_sentence):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot be written") as error:
        ImageCache(tmp_path / "file" / "cache", "some.set", {}).load(not_needed)
    one_sentence(error, tmp_path / "file" / "cache", "data.cache_dir")


def test_training_keeps_no_copy_of_the_pixels_in_memory(tmp_path):
    """Anonymous memory grows by less than half of the pixels; pages of the file are every process's."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("only Linux tells")

    def anonymous_kib():
        return int(status.read_text().partition("RssAnon:")[2].split()[0])

    class Mapped(InMemoryDataModule):
        source_labels = ("class",)
        targets = {}  # noqa: RUF012 (a class variable, as the base declares)

        def make(self):
            return {"source": ImageCache(tmp_path, "large", {}).load(build)}

    def build(beside):
        pixels = np.lib.format.open_memmap(beside / "train.npy", "w+", np.uint8, (40_000, 32, 32, 3))
        pixels[1] = 1
        image = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        return {"train": ImageSet(image, {"class": torch.arange(40_000) % 2})}, {}

    ImageCache(tmp_path, "large", {}).load(build)
    before = anonymous_kib()
    data = Mapped(name="large", source_label="class", batch_size=1000)
    data.setup()
    for samples in data.train_dataloader():
        data.to_samples(samples)
    assert anonymous_kib() - before < 40_000 * 3 / 2  # KiB: an image has 3


# ---------------------------------------------------------------------------------------------------- damage


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("harm", [flip_a_bit, cut, Path.unlink], ids=["bit", "truncated", "missing"])
@pytest.mark.parametrize("file", ["train.npy", "test.npy", "labels.safetensors"])
def test_a_damaged_file_is_noticed_and_everything_made_again(file, harm, cache, caplog):
    build = Builder()
    cache.load(build)
    assert not caplog.messages
    harm(cache.path / file)
    with caplog.at_level(logging.WARNING):
        assert equal(cache.load(build), image_sets())
    assert build.count == 2
    (message,) = caplog.messages
    assert str(cache.path) in message
    assert cache.damage() is None


def test_without_its_description_it_is_made_again(cache):
    build = Builder()
    cache.load(build)
    (cache.path / "info.json").write_text("{")
    assert equal(cache.load(build), image_sets())
    assert build.count == 2


def test_a_build_that_fails_leaves_nothing_behind(cache, tmp_path):
    def fail(beside):
        np.save(beside / "train.npy", np.zeros((6, 4, 5, 3), np.uint8))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.load(fail)
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []
    assert equal(cache.load(Builder()), image_sets())


# ------------------------------------------------------------------------------------------ several processes


def in_processes(num, work):
    """Run ``work(0)``, ``work(1)``, … at once, each in a process of its own; their exit codes."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(num)

    def wait_and_work(number):
        barrier.wait(timeout=60)
        work(number)

    processes = [context.Process(target=wait_and_work, args=(number,)) for number in range(num)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    return [process.exitcode for process in processes]


def test_processes_that_ask_at_once_build_once_and_get_the_same(cache, tmp_path):
    def build(beside):
        with (tmp_path / "builds").open("a") as file:
            file.write("built\n")
        time.sleep(0.3)  # long enough for the others to find it unfinished
        return image_sets(), {}

    def work(number):
        assert equal(cache.load(build), image_sets())

    assert in_processes(3, work) == [0, 0, 0]
    assert (tmp_path / "builds").read_text() == "built\n"
    assert equal(cache.load(not_needed), image_sets())


def test_a_build_that_is_killed_leaves_nothing_that_looks_complete(cache, tmp_path):
    def work(number):
        def build(beside):
            np.save(beside / "train.npy", np.zeros((6, 4, 5, 3), np.uint8))
            os.kill(os.getpid(), signal.SIGKILL)

        cache.load(build)

    assert in_processes(1, work) == [-signal.SIGKILL]
    assert not cache.path.exists()
    assert cache.damage() is not None
    build = Builder()
    assert equal(cache.load(build), image_sets())
    assert build.count == 1
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == [cache.path]
    assert sorted(path.name for path in cache.path.iterdir()) == FILES


# ------------------------------------------------------------------------------------------------ fingerprint


@pytest.fixture
def folder(tmp_path):
    for name in ("a/one.png", "a/two.png", "b/c/three.png", "list.txt", "cache/old", ".git/log"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1234")
    return tmp_path / "data"


def test_the_fingerprint_is_the_same_while_nothing_changes(folder):
    assert fingerprint(folder, folder / "cache") == fingerprint(folder, folder / "cache")


def later(path):
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a/one.png").write_bytes(b"12345"),
        lambda folder: later(folder / "b/c/three.png"),
        lambda folder: (folder / "a/two.png").unlink(),
        lambda folder: (folder / "a/two.png").rename(folder / "b/two.png"),
        lambda folder: (folder / "b/four.png").write_bytes(b""),
        lambda folder: later(folder / "list.txt"),
    ],
    ids=["size", "time", "gone", "moved", "new", "list"],
)
def test_the_fingerprint_changes_with_any_file(folder, change):
    before = fingerprint(folder, folder / "cache")
    change(folder)
    assert fingerprint(folder, folder / "cache") != before


def test_hidden_files_and_the_cache_itself_do_not_count(folder):
    before = fingerprint(folder, folder / "cache")
    (folder / "cache" / "new").touch()
    (folder / ".git" / "log").unlink()
    (folder / "a" / ".DS_Store").touch()
    assert fingerprint(folder, folder / "cache") == before


def test_links_to_folders_above_and_names_of_another_encoding_count_once(folder):
    before = fingerprint(folder, folder / "cache")
    (folder / "a" / "up").symlink_to(folder)
    (folder / "b" / "across").symlink_to(folder / "a")
    (folder / "a" / os.fsdecode(b"\xff.png")).touch()
    linked = fingerprint(folder, folder / "cache")
    assert linked == fingerprint(folder, folder / "cache") != before
    later(folder / "b" / "c" / "three.png")
    assert fingerprint(folder, folder / "cache") != linked


def test_linked_folders_count_and_links_to_nowhere_or_themselves_do_no_harm(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "four.png").touch()
    (folder / "linked").symlink_to(elsewhere)
    (folder / "broken.png").symlink_to(folder / "nowhere")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    before = fingerprint(folder, folder / "cache")
    later(elsewhere / "four.png")
    assert fingerprint(folder, folder / "cache") != before
