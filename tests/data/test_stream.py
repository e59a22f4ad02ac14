"""Streaming promises: the images, labels and exact epochs of the folder that was prepared, out of shards.

This file is also the program of one of two processes: ``python test_stream.py SHARDS MEETING RANK``.
"""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate
from PIL import Image

from ctc_lightning import prepare as program
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.data import Compose, FileDataModule, HorizontalFlip, RandomResizedCrop
from ctc_lightning.data.sampler import EpochBatches
from ctc_lightning.data.sets.image_folder import ImageFolder
from ctc_lightning.data.sets.imagenet import ImageNet
from ctc_lightning.data.shards import ShardFiles
from ctc_lightning.data.stream import PreparedCollection, ShardBatches, StreamDataModule
from ctc_lightning.prepare import prepare

pytest.importorskip("litdata", reason="pip install 'ctc-lightning[stream]'")

CLASSES = ("n01440764", "n01443537", "n02012849")
N, NUM_VAL, SIZE, B = 42, 6, 24, 8


def write_tree(root):
    """7, 14 and 21 training images, 1, 2 and 3 validation images; each is grey of a level of its own."""
    level = 0
    for split, factor in (("train", 7), ("val", 1)):
        for number, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for copy in range(factor * (number + 1)):
                Image.new("RGB", (40, 30), (5 * level,) * 3).save(folder / f"{copy:02}.JPEG", quality=95)
                level += 1


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    write_tree(root)
    return root


@pytest.fixture(scope="module")
def shards(tree, tmp_path_factory):
    """Five training shards."""
    output = tmp_path_factory.mktemp("prepared") / "shards"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "IMAGES_A_SHARD", 10)
        prepare(tree, output, size=SIZE, quality=95, num_workers=0, skip=False)
    return output


def data_module(root, kind=StreamDataModule, rank=0, world_size=1, **options):
    options = {
        "collection": ImageFolder(),
        "name": "levels",
        "cache_dir": str(Path(str(root).removeprefix("local:")).parent / "cache"),
        "image_size": SIZE,
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
        "crop_share": 1.0,
        "batch_size": B,
        "num_workers": 0,
        "augmentation": Compose(RandomResizedCrop(SIZE), HorizontalFlip()),
        **options,
    }
    data = kind(root=str(root), **options)
    if world_size > 1:
        data.trainer = SimpleNamespace(
            global_rank=rank,
            world_size=world_size,
            num_devices=1,
            strategy=SimpleNamespace(root_device=torch.device("cpu")),
        )
    data.setup()
    return data


def epoch_of(data, epoch=0):
    """The training samples of an epoch, whole."""
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return [data.to_samples(batch) for batch in loader]


def indices(samples):
    return torch.cat([batch.index for batch in samples])


def levels(batch):
    """(B,) the grey level that was written, from each image's first pixel."""
    return (batch.image[:, :, 0, 0].float().mean(1) / 5).round().long()


def test_labels_counts_and_classes_are_those_of_the_folder(tree, shards):
    ours, theirs = data_module(shards), data_module(tree, FileDataModule)
    assert (ours.num_images, ours.num_classes, ours.classes) == (N, 3, CLASSES)
    assert (theirs.num_images, theirs.num_classes, theirs.classes) == (N, 3, CLASSES)
    for split in ("train", "val", "test"):
        (label, own_N), (other, their_N) = (
            *ours.image_sets["source"][split].labels.items(),
            *theirs.image_sets["source"][split].labels.items(),
        )
        assert label == other
        torch.testing.assert_close(own_N, their_N)
    torch.testing.assert_close(ours.train_label, theirs.train_label)
    assert ours.train_label.dtype == torch.int64


def test_every_sample_is_the_image_of_its_index_with_its_label(shards):
    data = data_module(shards)
    for batch in epoch_of(data):
        assert batch.image.shape == (B, 3, SIZE, SIZE)
        assert batch.image.dtype == torch.uint8
        torch.testing.assert_close(levels(batch), batch.index)
        torch.testing.assert_close(batch.label, data.train_label[batch.index])


def test_validation_gives_every_image_once_as_it_is(tree, shards):
    def batches(data):
        return list(data.evaluation_batches("source", "val", torch.device("cpu")))

    ours, theirs = batches(data_module(shards)), batches(data_module(tree, FileDataModule))
    assert [batch.index.tolist() for batch in ours] == [list(range(NUM_VAL))]
    for own, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own.label, their.label)
        torch.testing.assert_close(own.view, their.view, atol=2 / 255 / 0.25, rtol=0)


def test_an_epoch_takes_every_image_at_most_once_and_drops_the_remainder(shards):
    seen = indices(epoch_of(data_module(shards)))
    assert len(seen) == N // B * B
    assert len(seen.unique()) == len(seen)
    everything = indices(epoch_of(data_module(shards, drop_last=False)))
    assert sorted(everything.tolist()) == list(range(N))


def test_order_and_pixels_follow_from_seed_and_epoch_whatever_the_workers(shards):
    first, second = epoch_of(data_module(shards), 0), epoch_of(data_module(shards), 1)
    assert not torch.equal(indices(first), indices(second))
    assert not torch.equal(indices(first), indices(epoch_of(data_module(shards, seed=1), 0)))
    again = data_module(shards, num_workers=2)
    for expected, epoch in ((second, 1), (first, 0), (second, 1)):
        for ours, theirs in zip(epoch_of(again, epoch), expected, strict=True):
            assert ours.seed == theirs.seed
            for key in ("index", "label", "image"):
                torch.testing.assert_close(getattr(ours, key), getattr(theirs, key), rtol=0, atol=0)


def test_the_memory_loader_gives_every_image_once_augmented(shards):
    batches = list(data_module(shards).memory_dataloader())
    assert sorted(indices(batches).tolist()) == list(range(N))
    assert all(batch.seed is not None for batch in batches)


def test_object_storage_gives_what_the_folder_gives_and_keeps_whole_shards(shards, tmp_path):
    remote = data_module(f"local:{shards}/", shard_cache=str(tmp_path), num_workers=2)
    for epoch in (0, 1):
        for ours, theirs in zip(epoch_of(remote, epoch), epoch_of(data_module(shards), epoch), strict=True):
            torch.testing.assert_close(ours.index, theirs.index)
            torch.testing.assert_close(ours.image, theirs.image, rtol=0, atol=0)
    kept = {path.name: path.stat().st_size for path in tmp_path.rglob("*.bin")}
    assert kept == {path.name: path.stat().st_size for path in (shards / "train").glob("*.bin")}


def test_two_ranks_see_halves_of_what_one_rank_sees(shards):
    alone = epoch_of(data_module(shards, batch_size=2 * B))
    halves = [epoch_of(data_module(shards, rank=rank, world_size=2)) for rank in (0, 1)]
    for both, *parts in zip(alone, *halves, strict=True):
        assert [len(part.index) for part in parts] == [B, B]
        assert sorted(indices(parts).tolist()) == sorted(both.index.tolist())


@pytest.mark.slow
def test_two_real_processes_see_disjoint_halves(shards, tmp_path):
    command = [sys.executable, __file__, str(shards), str(tmp_path)]
    running = [subprocess.Popen([*command, str(rank)]) for rank in (0, 1)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    seen = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for first, second in zip(*seen, strict=True):
        assert len(first) == len(second) == N // (2 * B) * B
        assert len(torch.cat([first, second]).unique()) == 2 * len(first)
    assert not torch.equal(seen[0][0], seen[0][1]), "two epochs alike"


def shard_batches(epoch, *, num=95, mixed=2, batch_size=20, shuffle=True):
    """Index of every batch, of images that lie in shards of 10 in reverse order."""
    position_N = np.arange(num)[::-1].copy()
    files = ShardFiles(
        Path(), np.zeros(0, np.bytes_), {}, {}, url="", split="", position=position_N, images_a_shard=10,
        cache_dir=None,
    )  # fmt: skip
    like = EpochBatches(num, batch_size, seed=3, shuffle=shuffle, drop_last=True)
    batches = ShardBatches(files, batch_size, mixed, like)
    batches.set_epoch(epoch)
    return files, [index_B for index_B, _ in batches]


def test_shards_are_visited_in_random_groups_and_mixed_within_them():
    groups = []
    for epoch in (0, 1):
        files, batches = shard_batches(epoch, num=100)
        groups.append({frozenset(files.shard[index_B].tolist()) for index_B in batches})
        assert [len(group) for group in groups[-1]] == [2] * 5
        assert all((np.diff(files.position[index_B]) > 0).all() for index_B in batches), "reads jump about"
    assert groups[0] != groups[1]
    of_half_a_group = shard_batches(0, num=100, batch_size=10)[1]
    assert sum(len(set(files.shard[index_B])) == 2 for index_B in of_half_a_group) >= 9


def test_few_shards_are_mixed_completely():
    firsts = [shard_batches(epoch, mixed=10)[1][0] for epoch in range(200)]
    count_N = np.bincount(np.concatenate(firsts), minlength=95)
    assert count_N.min() > 15  # each is expected 200 * 20 / 95 = 42 times
    assert count_N.max() < 80


def test_without_shuffling_images_come_as_they_lie():
    _, batches = shard_batches(0, shuffle=False)
    assert np.concatenate(batches).tolist() == list(range(94, 14, -1))


def test_images_left_out_of_the_shards_stop_training_or_are_replaced(tmp_path):
    write_tree(tmp_path / "tree")
    (tmp_path / "tree" / "train" / CLASSES[1] / "03.JPEG").write_bytes(b"")
    prepare(tmp_path / "tree", tmp_path / "shards", size=SIZE, quality=95, num_workers=0, skip=True)
    gone = 7 + 3
    data = data_module(tmp_path / "shards", drop_last=False)
    assert data.num_images == N
    with pytest.raises(ValueError, match=r"unreadable when the shards were made.*data\.on_error=skip\.$"):
        epoch_of(data)
    samples = epoch_of(data_module(tmp_path / "shards", drop_last=False, on_error="skip"))
    assert sum(batch.num_replaced for batch in samples) == 1
    assert sorted(indices(samples).tolist()) == sorted([*range(gone), gone + 1, *range(gone + 1, N)])
    for batch in samples:
        torch.testing.assert_close(levels(batch), batch.index)


def test_a_full_check_decodes_the_shards(shards, caplog):
    caplog.set_level("INFO")
    data_module(shards, check="full")
    assert f"Decoded all {N} of levels, train" in caplog.text


def test_shards_that_are_not_complete_are_refused(tmp_path, tree):
    with pytest.raises(ValueError, match=r"holds no complete shards.*ctc_lightning\.prepare") as problem:
        data_module(tmp_path / "nothing")
    assert str(tmp_path / "nothing") in str(problem.value)
    prepare(tree, tmp_path / "shards", size=8, quality=90, num_workers=0, skip=False)
    manifest = tmp_path / "shards" / "prepared.json"
    whole = manifest.read_text()
    manifest.write_text(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="holds no complete shards"):
        data_module(tmp_path / "shards")
    manifest.write_text(json.dumps({**json.loads(whole), "format": 1}))
    with pytest.raises(ValueError, match=r"shards of format 1, must be 2: prepare them anew\.$"):
        data_module(tmp_path / "shards")


def test_object_storage_that_cannot_be_reached_is_told(monkeypatch):
    def refuse(*_):
        raise RuntimeError("no credentials")

    monkeypatch.setattr("litdata.streaming.downloader.get_downloader", refuse)
    with pytest.raises(
        ValueError, match=r"^s3://bucket/shards holds no .*RuntimeError: no credentials"
    ) as it:
        data_module("s3://bucket/shards/", cache_dir="unused")
    assert "\n" not in str(it.value)


def test_a_shard_that_is_gone_is_told_and_not_waited_for(tmp_path, tree):
    prepare(tree, tmp_path / "shards", size=8, quality=90, num_workers=0, skip=False)
    data = data_module(tmp_path / "shards")
    for chunk in (tmp_path / "shards" / "train").glob("*.bin"):
        chunk.unlink()
    with pytest.raises(ValueError, match=r"^image \d+ of the train shards in .* cannot be read: "):
        epoch_of(data)


def test_without_litdata_the_remedy_is_told(shards, monkeypatch):
    monkeypatch.setitem(sys.modules, "litdata", None)
    with pytest.raises(
        ValueError, match=r"^litdata is not installed.*pip install 'ctc-lightning\[stream\]'\.$"
    ):
        data_module(shards)


def test_one_shard_at_a_time_is_the_least():
    with pytest.raises(ValueError, match=r"mixed_shards is 0; it must be a whole number of at least 1"):
        data_module("nowhere", mixed_shards=0)


def test_imagenet_keeps_its_counts_names_and_test_split(shards):
    imagenet = PreparedCollection(ImageNet(), str(shards), None)
    assert imagenet.counts == ImageNet().counts
    assert imagenet.available(shards) == ("train", "test")
    test = imagenet.read(shards, "test")
    assert len(test) == NUM_VAL
    assert test.classes["class"] == ("tench (n01440764)", "goldfish (n01443537)", "crane (n02012849)")
    with pytest.raises(ValueError, match=f"{N} train images instead of 1281167"):
        data_module(shards, collection=ImageNet())


def test_the_configuration_builds_what_imagenets_does_but_for_where_images_lie(shards):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        stream, folder = (compose("train", [f"data={name}"]).data for name in ("imagenet_stream", "imagenet"))
        config = compose(
            "train",
            ["data=imagenet_stream", f"data.root={shards}", "data.check_counts=false", "data.batch_size=8"],
        ).data
    assert get_class(stream["_target_"]) is StreamDataModule
    own = {"_target_", "name", "root", "shard_cache", "mixed_shards"}
    assert {k: v for k, v in stream.items() if k not in own} == {
        k: v for k, v in folder.items() if k not in own
    }
    data = instantiate(config)
    data.setup()
    assert (data.num_images, len(data.image_sets["source"]["test"])) == (N, NUM_VAL)


if __name__ == "__main__":
    root, meeting, rank = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    torch.distributed.init_process_group("gloo", f"file://{meeting / 'store'}", rank=rank, world_size=2)
    module = data_module(root, rank=rank, world_size=2, num_workers=1)
    torch.save([indices(epoch_of(module, epoch)) for epoch in (0, 1)], meeting / f"{rank}.pt")
    torch.distributed.destroy_process_group()
