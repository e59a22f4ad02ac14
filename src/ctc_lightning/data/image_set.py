"""Images in memory with all their labels, and the batches a loader cuts from them."""

# N images of the set, B of a batch; C channels, H rows, W columns

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset


class ImageSet(NamedTuple):
    """N images and what is known about each.

    Attributes:
        image: (N, C, H, W) uint8.
        labels: name of a label -> (N,) int64, classes counted from 0.
    """

    image: Tensor
    labels: dict[str, Tensor]


class Samples(NamedTuple):
    """B images as a loader yields them, not yet augmented.

    Attributes:
        image: (B, C, H, W) uint8, channels_last.
        label: (B,) int64, the source label.
        index: (B,) int64, rows of the image set.
        seed: seeds this batch's augmentation; None asks for the images as they are.
    """

    image: Tensor
    label: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs
    seed: int | None


class BatchedImages(Dataset[Samples]):
    """A data set whose item is a whole batch, cut by one ``index_select``.

    Args:
        image_set: the images.
        label: which of their labels to hand out.
    """

    def __init__(self, image_set: ImageSet, label: str) -> None:
        # Channels last here, once, so that no batch has to be converted.
        self.image_NHWC = image_set.image.permute(0, 2, 3, 1).contiguous()
        self.label_N = image_set.labels[label]

    def __len__(self) -> int:
        return len(self.label_N)

    def __getitem__(self, batch: tuple[Tensor, int | None]) -> Samples:
        """The images at ``index_B``, with the seed of their augmentation."""
        index_B, seed = batch
        image_BCHW = torch.index_select(self.image_NHWC, 0, index_B).permute(0, 3, 1, 2)
        return Samples(image_BCHW, self.label_N[index_B], index_B, seed)
