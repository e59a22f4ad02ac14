"""The data module of image sets that fit in memory: whole batches, sliced and augmented on the device."""

# N images of a set, B of a batch; C channels, H rows, W columns

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ctc_lightning.data.data_module import ImageDataModule, Loader
from ctc_lightning.data.image_set import ImageSet, Samples
from ctc_lightning.data.sampler import BatchRows, EpochBatches
from ctc_lightning.data.standardise import channel_statistics


class Rows(NamedTuple):
    """A batch before its pixels: which rows of which split, and the seed of their augmentation."""

    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs
    seed: int | None
    name: str
    split: str


class _RowsOf(Dataset[Rows]):
    """A data set whose item is a whole batch of row numbers; the pixels wait on the device."""

    def __init__(self, name: str, split: str) -> None:
        self.name, self.split = name, split

    def __getitem__(self, batch: BatchRows) -> Rows:
        index_B, seed = batch
        return Rows(torch.from_numpy(index_B), seed, self.name, self.split)


class InMemoryDataModule(ImageDataModule):
    """Image sets that are tensors. Loaders yield row numbers; slicing happens where the images are.

    On a GPU each split that is used moves there once, as uint8, and no pixel is copied after that.

    Args:
        num_train: the number of training images if it is known beforehand, for an early error.
        **options: of `ImageDataModule`.

    Raises:
        ValueError: as `ImageDataModule`.
    """

    image_sets: Mapping[str, Mapping[str, ImageSet]]

    def __init__(self, *, num_train: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        if hasattr(self, "source_labels"):
            self.check_source_label()
        if num_train is not None:
            self.check_batch_size(num_train)
            self.num_images = num_train
        self._resident: dict[tuple[str, str, torch.device], tuple[Tensor, Tensor]] = {}

    @abstractmethod
    def make(self) -> Mapping[str, Mapping[str, ImageSet]]:
        """Generate or read the image sets: name -> split -> images, with "source" among the names."""

    def find_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the training images."""
        channels, height, width = self.image_sets["source"]["train"].image.shape[1:]
        return channels, height, width

    def statistics(self) -> tuple[Sequence[float] | Tensor, Sequence[float] | Tensor]:
        """Of the training images."""
        return channel_statistics(self.image_sets["source"]["train"].image)

    def open(self, sampler: EpochBatches, name: str, split: str, *, train: bool) -> Loader:
        """Row numbers, from this process: there is nothing to wait for."""
        # A loader draws a seed for its workers, even for none: not from the global generator.
        return DataLoader(_RowsOf(name, split), sampler=sampler, batch_size=None, generator=torch.Generator())

    def to_samples(self, batch: Rows) -> Samples:
        """Slice the batch, on its device."""
        image_NHWC, label_N = self._on(batch.name, batch.split, batch.index.device)
        image_BCHW = image_NHWC.index_select(0, batch.index).permute(0, 3, 1, 2)
        return Samples(image_BCHW, label_N[batch.index], batch.index, batch.seed)

    def _on(self, name: str, split: str, device: torch.device) -> tuple[Tensor, Tensor]:
        """The split's pixels (N, H, W, C) and source labels on ``device``."""
        where = (name, split, device)
        if where not in self._resident:
            images = self.image_sets[name][split]
            label = images.labels.get(self.source_label, torch.full((len(images),), -1))
            image_NHWC = images.image.permute(0, 2, 3, 1).contiguous()
            self._resident[where] = image_NHWC.to(device), label.to(device)
        return self._resident[where]
