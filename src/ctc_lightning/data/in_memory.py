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
        mean: (C,) float32, of the training images in units of [0, 1]; after `setup`.
        std: (C,) float32, likewise.

    Raises:
        ValueError: an unknown source label, a size below 1, a batch larger than the training set.
    """

    source_labels: ClassVar[tuple[str, ...]]
    targets: ClassVar[dict[str, str]]

    name: str
    image_sets: dict[str, dict[str, ImageSet]]
    num_classes: int
    image_shape: tuple[int, int, int]
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
                f"source_label is {source_label!r}, {name} has {', '.join(self.source_labels)}: name one of them."
            )
        for option, size in {"batch_size": batch_size, "eval_batch_size": eval_batch_size}.items():
            if size < 1:
                raise ValueError(f"{option} is {size}, must be at least 1: give the images per process.")
        if drop_last and batch_size > num_train:
            raise ValueError(
                f"batch_size {batch_size} exceeds the {num_train} training images: lower it, or set drop_last=false."
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

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (Lightning's signature; one set-up for all)
        """Make the image sets, once; later calls do nothing."""
        if hasattr(self, "image_sets"):
            return
        self.image_sets = self.make()
        train = self.image_sets["source"]["train"]
        self.num_classes = int(train.labels[self.source_label].max()) + 1
        channels, height, width = train.image.shape[1:]
        self.image_shape = (channels, height, width)
        intensity_NCHW = train.image.double() / 255
        self.mean = intensity_NCHW.mean((0, 2, 3)).float()
        self.std = intensity_NCHW.std((0, 2, 3), correction=0).float()
        # One value per pixel in the images' own layout: several times faster than broadcasting over C.
        shape, layout = (1, channels, height, width), torch.channels_last
        scale_C, offset_C = 1 / (255 * self.std), -self.mean / self.std
        self._scale_1CHW = scale_C.view(1, -1, 1, 1).expand(shape).contiguous(memory_format=layout)
        self._offset_1CHW = offset_C.view(1, -1, 1, 1).expand(shape).contiguous(memory_format=layout)

    def standardise(self, image: Tensor) -> Tensor:
        """(image / 255 - mean) / std per channel.

        Args:
            image: (B, C, H, W) uint8, of `image_shape`.

        Returns:
            (B, C, H, W) float32 on the same device, channels_last.
        """
        scale, offset = self._scale_1CHW.to(image.device), self._offset_1CHW.to(image.device)
        return torch.addcmul(offset, image.to(torch.float32, memory_format=torch.channels_last), scale)

    def on_after_batch_transfer(self, batch: Samples, dataloader_idx: int) -> Batch:  # noqa: ARG002 (Lightning's)
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
        return Batch(view, key_view, batch.label, batch.index)

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
        self, split: str, batch_size: int, *, seed: int | None = None, shuffle: bool = False, drop_last: bool = False
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
        # The loader draws a seed for workers it does not have: from a generator of its own, not the global one.
        return DataLoader(images, sampler=sampler, batch_size=None, generator=torch.Generator())
