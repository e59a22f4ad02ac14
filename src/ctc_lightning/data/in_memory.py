"""The data module of image sets that fit in memory: exact epochs, whole-batch augmentation, two views."""

# N training images, B of a batch; C channels, H rows, W columns

from abc import ABC, abstractmethod
from typing import ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ctc_lightning.batch import Batch
from ctc_lightning.data.augmentation import Augmentation, Identity
from ctc_lightning.data.image_set import BatchedImages, ImageSet, Samples
from ctc_lightning.data.sampler import EpochBatches
from ctc_lightning.data.standardise import Standardise

Loader = DataLoader[Samples]


class InMemoryDataModule(pl.LightningDataModule, ABC):
    """Trains on the image set "source" and keeps everything a transfer probe may ask for.

    A subclass names its labels and makes its image sets. The loaders yield `Samples`; the hook
    `on_after_batch_transfer` turns them into a `Batch` on the device. What is in a batch, and how it is
    augmented, follows from (seed, epoch, batch, rank) alone: no global random state is touched, and a
    resumed run sees the same images. The trainer needs ``use_distributed_sampler=False``.

    Args:
        name: what results and file names call this data set.
        num_train: N, the number of training images.
        source_label: the label to train on, one of `source_labels`.
        batch_size: B, per process.
        eval_batch_size: the largest batch of validation and test, per process.
        augmentation: of the query's view; None for none.
        key_augmentation: of the key's view, drawn independently; None shows the key the query's view,
            the very same tensor.
        seed: >= 0, of the order of the images and of their augmentation.
        drop_last: drop the images that do not fill a last training batch, otherwise spread all images
            over batches that differ by at most one image.

    Attributes:
        source_labels: names of the labels one may train on.
        targets: transfer target (a label) -> the image set that carries it.
        image_sets: name -> split "train", "val", "test" -> images; after `setup`.
        num_classes: of the source label; after `setup`.
        image_shape: (C, H, W); after `setup`.
        standardise: (B, C, H, W) uint8 -> float32 by the statistics of the training images; after `setup`.
        mean: its (C,) mean, in units of [0, 1]; after `setup`.
        std: its (C,) standard deviation, likewise.

    Raises:
        ValueError: an unknown source label, a size below 1, a batch larger than the training set.
    """

    source_labels: ClassVar[tuple[str, ...]]
    targets: ClassVar[dict[str, str]]

    name: str
    image_sets: dict[str, dict[str, ImageSet]]
    num_classes: int
    image_shape: tuple[int, int, int]
    standardise: Standardise
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        name: str,
        num_train: int,
        source_label: str,
        batch_size: int = 64,
        eval_batch_size: int = 500,
        augmentation: Augmentation | None = None,
        key_augmentation: Augmentation | None = None,
        seed: int = 0,
        drop_last: bool = True,
    ) -> None:
        super().__init__()
        if source_label not in self.source_labels:
            raise ValueError(
                f"source_label is {source_label!r}, must be one that {name} has: choose from "
                f"{', '.join(self.source_labels)}."
            )
        for option, views in {"augmentation": augmentation, "key_augmentation": key_augmentation}.items():
            if views is not None and not callable(views):
                raise ValueError(
                    f"{option} is {views!r}, must be an augmentation: choose one by "
                    f"data/augmentation@data.{option}=crop, or null."
                )
        for option, size in {"batch_size": batch_size, "eval_batch_size": eval_batch_size}.items():
            if size < 1:
                raise ValueError(f"{option} is {size}, must be at least 1: give the images per process.")
        if drop_last and batch_size > num_train:
            raise ValueError(
                f"batch_size is {batch_size}, must be at most the {num_train} training images: "
                "lower it, or set drop_last=false."
            )
        if seed < 0:
            raise ValueError(f"seed is {seed}, must be 0 or more: give a non-negative integer.")
        self.name = name
        self.num_images = num_train
        self.source_label = source_label
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.augmentation = augmentation or Identity()
        self.key_augmentation = key_augmentation
        self.seed = seed
        self.drop_last = drop_last

    @abstractmethod
    def make(self) -> dict[str, dict[str, ImageSet]]:
        """Generate or read the image sets: name -> split -> images, with "source" among the names."""

    def setup(self, stage: str | None = None) -> None:
        """Make the image sets, once; later calls do nothing."""
        if hasattr(self, "image_sets"):
            return
        self.image_sets = self.make()
        train = self.image_sets["source"]["train"]
        self.num_classes = int(train.labels[self.source_label].max()) + 1
        channels, height, width = train.image.shape[1:]
        self.image_shape = (channels, height, width)
        self.standardise = Standardise(train.image)
        self.mean, self.std = self.standardise.mean, self.standardise.std

    def on_after_batch_transfer(self, batch: Samples, dataloader_idx: int) -> Batch:
        """Augment and standardise a loader's samples on their device: what the training step reads.

        Samples without a seed are not augmented, and both views are one tensor.
        """
        if batch.seed is None:
            view = key_view = self.standardise(batch.image)
        else:
            # On the CPU: the same augmentation on every device.
            generator = torch.Generator().manual_seed(batch.seed)
            view = key_view = self.standardise(self.augmentation(batch.image, generator))
            if self.key_augmentation is not None:
                key_view = self.standardise(self.key_augmentation(batch.image, generator))
        ready = Batch(view, key_view, batch.label, batch.index)
        # Lightning converts what the loader yields, but these views exist only now
        return self.trainer.precision_plugin.convert_input(ready) if self.trainer else ready

    @property
    def train_label(self) -> Tensor:
        """(N,) int64, the source label of every training image, in the order of ``Batch.index``."""
        return self.image_sets["source"]["train"].labels[self.source_label]

    def train_dataloader(self) -> Loader:
        """Shuffled, augmented training batches."""
        return self._loader("train", self.batch_size, seed=self.seed, shuffle=True, drop_last=self.drop_last)

    def val_dataloader(self) -> Loader:
        """Every validation image once, over all ranks, as it is."""
        return self._loader("val", self.eval_batch_size)

    def test_dataloader(self) -> Loader:
        """Every test image once, over all ranks, as it is."""
        return self._loader("test", self.eval_batch_size)

    def memory_dataloader(self) -> Loader:
        """Every training image once, over all ranks, in order, augmented: ``key_view`` fills a memory.

        Outside the trainer's loops, pass what it yields through `transfer_batch_to_device` and
        `on_after_batch_transfer`; ``loader.sampler.set_epoch`` chooses the draw.
        """
        return self._loader("train", self.batch_size, seed=self.seed)

    def _loader(
        self,
        split: str,
        batch_size: int,
        *,
        seed: int | None = None,
        shuffle: bool = False,
        drop_last: bool = False,
    ) -> Loader:
        images = BatchedImages(self.image_sets["source"][split], self.source_label)
        sampler = EpochBatches(
            len(images),
            batch_size,
            seed=seed,
            shuffle=shuffle,
            drop_last=drop_last,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
        )
        # A loader draws a seed for its workers, even for none: not from the global generator.
        return DataLoader(images, sampler=sampler, batch_size=None, generator=torch.Generator())
