"""Labelled images: in memory as one tensor, or as files that are decoded when they are needed."""

# N images of the set, B of a batch; C channels, H rows, W columns

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageSet:
    """N images in memory and what is known about each.

    Attributes:
        image: (N, C, H, W) uint8.
        labels: name of a label -> (N,) int64, classes counted from 0; of a multi-label set (N, L) int8 with
            1 present, 0 absent, -1 not to be judged.
        classes: name of a label -> the names of its classes, in order; may be empty.
    """

    image: Tensor
    labels: dict[str, Tensor]
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.image)

    def rows(self, row_N: Tensor) -> "ImageSet":
        """Some of the images."""
        return ImageSet(self.image[row_N], {k: y[row_N] for k, y in self.labels.items()}, self.classes)


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """N image files and what is known about each.

    Attributes:
        root: the folder that the names are relative to.
        name: (N,) bytes, each file's path below ``root``: one array, which loader processes share.
        labels: as in `ImageSet`.
        classes: as in `ImageSet`.
    """

    root: Path
    name: NDArray[np.bytes_]
    labels: dict[str, Tensor]
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @staticmethod
    def of(
        root: Path,
        paths: "list[str] | list[Path]",
        labels: dict[str, Tensor],
        classes: Mapping[str, tuple[str, ...]],
    ) -> "ImageFiles":
        """From paths below ``root``, absolute or relative to it."""
        above = os.path.join(root, "")  # noqa: PTH118  # text, not objects: there may be a million
        names = [os.fsencode(os.fspath(path).removeprefix(above)) for path in paths]
        return ImageFiles(root, np.array(names, dtype=np.bytes_), labels, classes)

    def __len__(self) -> int:
        return len(self.name)

    def path(self, row: int) -> Path:
        """Where the file of one image is."""
        return self.root / os.fsdecode(self.name[row])

    def rows(self, row_N: Tensor) -> Self:
        """Some of the images."""
        labels = {k: y[row_N] for k, y in self.labels.items()}
        return replace(self, name=self.name[row_N.numpy()], labels=labels)


Images = ImageSet | ImageFiles


def join(first: Images, second: Images) -> Images:
    """The images of both, in order; the labels that both have.

    Raises:
        ValueError: see `check_not_in_shards`.
    """
    for images in (first, second):
        check_not_in_shards(images)
    labels = {k: torch.cat([y, second.labels[k]]) for k, y in first.labels.items() if k in second.labels}
    if isinstance(first, ImageSet) and isinstance(second, ImageSet):
        return ImageSet(torch.cat([first.image, second.image]), labels, first.classes)
    assert isinstance(first, ImageFiles), "a data module keeps all its images in one way"
    assert isinstance(second, ImageFiles), "a data module keeps all its images in one way"
    if type(first) is not ImageFiles:  # rows of one table
        return replace(first, name=np.concatenate([first.name, second.name]), labels=labels)
    paths = [files.path(row) for files in (first, second) for row in range(len(files))]
    root = Path(os.path.commonpath([first.root, second.root]))
    return ImageFiles.of(root, paths, labels, first.classes)


def check_not_in_shards(images: Images) -> None:
    """Refuse images that are no files of their own.

    Raises:
        ValueError: they lie in shards.
    """
    if isinstance(images, ImageFiles) and len(images.name) != len(images):
        raise ValueError(
            f"the images in {getattr(images, 'url', images.root)} are shards: protocols that train on images "
            "need files or images in memory, so choose the data set that the shards were made from."
        )


class Samples(NamedTuple):
    """B images as a loader yields them, not yet augmented.

    Attributes:
        image: (B, C, H, W) uint8, channels_last.
        label: (B,) int64, the source label.
        index: (B,) int64, rows of the image set.
        seed: seeds this batch's augmentation; None asks for the images as they are.
        key_image: the key's own crop of the same images; None: the same pixels as ``image``.
        num_replaced: how many unreadable images others stand in for.
    """

    image: Tensor
    label: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs
    seed: int | None
    key_image: Tensor | None = None
    num_replaced: int = 0
