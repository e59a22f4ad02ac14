"""The labels of other people's data sets, without reading an image. N: images."""

from collections.abc import Sized
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset, TensorDataset


def labels_of(data: Any) -> Tensor | None:
    """(N,) int64 labels from ``targets`` or ``labels``, as torchvision's data sets have; None: not known."""
    if isinstance(data, Subset):
        label_N = labels_of(data.dataset)
        return None if label_N is None else label_N[torch.as_tensor(data.indices, dtype=torch.int64)]
    if isinstance(data, ConcatDataset):
        labels = [labels_of(part) for part in data.datasets]
        known = [label for label in labels if label is not None]
        return torch.cat(known) if len(known) == len(labels) else None
    if isinstance(data, TensorDataset):
        return _as_labels(data.tensors[1], len(data)) if len(data.tensors) > 1 else None
    if getattr(data, "target_transform", None) is not None:
        return None  # the labels of the images are others
    for name in ("targets", "labels"):
        if isinstance(data, Sized) and (given := getattr(data, name, None)) is not None:
            return _as_labels(given, len(data))
    return None


def _as_labels(given: Any, num_images: int) -> Tensor | None:
    try:
        label = torch.as_tensor(np.asarray(given))
    except (TypeError, ValueError):  # words, lists of different lengths
        return None
    whole = label.shape == (num_images,) and not label.is_floating_point() and label.dtype != torch.bool
    return label.long() if whole else None
