"""The data module of shards that ``prepare`` made, in a folder or in object storage."""

# N images of the set, G groups of shards; B images per rank and batch

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctc_lightning.checks import count
from ctc_lightning.data.collection import SPLITS, Collection
from ctc_lightning.data.from_files import FileDataModule
from ctc_lightning.data.sampler import BatchRows, EpochBatches
from ctc_lightning.data.shards import ShardFiles, is_remote, litdata, read_manifest, read_shards


class StreamDataModule(FileDataModule):
    """`FileDataModule`, but the files are the images in shards: already small, and read one after another.

    Labels, classes, counts and indices are those of the folder that was prepared. Images that could not be
    read then count as unreadable: ``on_error`` decides.

    A rank's batch is a function of (seed, epoch, batch, rank), whatever the number of workers; see
    `ShardBatches` for the order. From object storage, shards are downloaded when their turn comes and kept on
    the disk, as far as three quarters of what is free there.

    Args:
        root: what ``prepare`` wrote: a folder, or a URL such as ``s3://BUCKET/FOLDER``.
        collection: the data set that was prepared: its label's name, and the published counts.
        shard_cache: where shards from object storage are kept; None: litdata's default.
        mixed_shards: >= 1, how many shards are shuffled together.
        **options: of `FileDataModule`.

    Raises:
        ValueError: as `FileDataModule`; litdata is not installed; in `setup`, shards that are missing or
            incomplete.
    """

    def __init__(
        self,
        *,
        root: str,
        collection: Collection,
        shard_cache: str | None = None,
        mixed_shards: int = 16,
        **options: Any,
    ) -> None:
        litdata()
        count("data", example=8, mixed_shards=mixed_shards)
        url = root.rstrip("/") if is_remote(root) else str(Path(root).expanduser())
        prepared = PreparedCollection(collection, url, shard_cache)
        super().__init__(root=root, collection=prepared, **options)
        self.mixed_shards = mixed_shards

    def folder(self) -> Path:
        """Not where the data set lies: the collection knows its shards."""
        return self.root

    def batches(self, name: str, split: str, batch_size: int, **options: Any) -> EpochBatches:
        """Which images make up each batch of this rank: see `ShardBatches`."""
        plain = super().batches(name, split, batch_size, **options)
        files = self.image_sets[name][split]
        assert isinstance(files, ShardFiles)
        return ShardBatches(files, batch_size, self.mixed_shards, like=plain)


class PreparedCollection(Collection):
    """A collection whose images have been prepared: all that it says about itself stays true.

    Args:
        collection: with one label.
        url: where its shards are.
        cache_dir: see `ShardFiles`.
    """

    needs = ()
    folder = "."

    def __init__(self, collection: Collection, url: str, cache_dir: str | None) -> None:
        self.title = collection.title  # type: ignore[misc]  # of the instance: the class has many
        self.metric = collection.metric  # type: ignore[misc]
        self.counts, self.num_classes = collection.counts, collection.num_classes
        self.counts_may_differ, self.notes = collection.counts_may_differ, collection.notes
        self.how_to_get = "python -m ctc_lightning.prepare IMAGES OUTPUT makes it"
        self.class_names = collection.class_names  # type: ignore[method-assign]
        self.choices = collection.choices  # type: ignore[method-assign]
        self.url, self.cache_dir = url, cache_dir

    def available(self, folder: Path) -> tuple[str, ...]:
        """Those of its own splits that were prepared; of a collection that names none, all that were.

        A test split may have been prepared as "val", as ImageNet's folder of that name is.
        """
        stored = read_manifest(self.url)["splits"]
        wanted = tuple(self.counts) or SPLITS
        return tuple(s for s in wanted if s in stored or (s == "test" and "val" in stored and self.counts))

    def read(self, folder: Path, split: str) -> ShardFiles:
        """One split; no image is read."""
        manifest = read_manifest(self.url)
        stored = split if split in manifest["splits"] else "val"
        label = next(iter(self.num_classes), "class")
        classes = self.class_names(manifest["classes"])
        return read_shards(
            self.url,
            stored,
            manifest["images_a_shard"],
            label=label,
            classes=classes,
            cache_dir=self.cache_dir,
        )


class ShardBatches(EpochBatches):
    """`EpochBatches` that visits shards a group at a time, so that reading them stays nearly sequential.

    Shuffled: a new random order of the shards every epoch, cut into groups; the images of a group in random
    order; one group after another. As training images lie in the shards in random order themselves, a group
    is a random part of the data set. With no more shards than a group takes, the order is uniform over all
    images. Not shuffled: as the images lie in the shards. Within a batch images stand in the order of the
    shards.

    Args:
        files: the images.
        batch_size: B.
        mixed_shards: the shards of a group.
        like: for everything else.
    """

    def __init__(self, files: ShardFiles, batch_size: int, mixed_shards: int, like: EpochBatches) -> None:
        super().__init__(
            len(files),
            batch_size,
            seed=like.seed,
            shuffle=like.shuffle,
            drop_last=like.num_used < like.num_images,
            rank=like.rank,
            world_size=like.world_size,
        )
        self.position_N, self.shard_N = files.position, files.shard
        self.mixed_shards = mixed_shards

    def __iter__(self) -> Iterator[BatchRows]:
        for index_B, seed in super().__iter__():
            yield index_B[self.position_N[index_B].argsort(kind="stable")], seed

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if not self.shuffle:
            return self.position_N.argsort(kind="stable")
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch,)))
        turn_N = rng.permutation(self.shard_N.max() + 1)[self.shard_N]  # absent images, -1, go with the last
        return np.lexsort([rng.random(len(turn_N)), turn_N // self.mixed_shards])
