"""Image numbers for any data set, which a memory bank needs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from ctc_lightning.data.labels import labels_of


class IndexedDataset(Dataset[Any]):
    """A data set's items with their number appended: ``(image, label)`` becomes ``(image, label, index)``.

    A dict gets the entry ``index``.

    Args:
        dataset: map-style, with items ``(image, label)`` or dicts.
        targets: (N,) the label of every image, where the data set has no attribute ``targets`` or ``labels``
            (a memory bank with ``exclude="class"`` needs them); None: the data set's.

    Raises:
        ValueError: a data set without a length, or ``targets`` of another length.

    Example:
        >>> from torch.utils.data import TensorDataset
        >>> data = IndexedDataset(TensorDataset(torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 0, 1])))
        >>> image, label, index = data[2]
        >>> int(label), index
        (0, 2)
    """

    def __init__(self, dataset: Any, targets: Sequence[int] | Tensor | None = None) -> None:
        if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
            raise ValueError(
                f"IndexedDataset: {type(dataset).__name__} has no length, so its images have no numbers; "
                "give a map-style data set."
            )
        if targets is not None and len(targets) != len(dataset):
            raise ValueError(
                f"IndexedDataset: there are {len(targets)} targets and {len(dataset)} images; "
                "give one target for each image."
            )
        self.dataset = dataset
        self._targets = None if targets is None else torch.as_tensor(np.asarray(targets))

    @property
    def targets(self) -> Tensor | None:
        """(N,) int64 labels; None where they are not known."""
        return labels_of(self.dataset) if self._targets is None else self._targets

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        item = self.dataset[index]
        if isinstance(item, Mapping):
            return {**item, "index": index}
        return (*item, index)
