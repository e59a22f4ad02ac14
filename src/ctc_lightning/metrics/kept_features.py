"""Base of the scores that need the features of all images. B: images, N: all images, F: features."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from ctc_lightning.checks import count
from ctc_lightning.metrics.feature_batch import check_labels, checked_features


class KeptFeatures(Metric):
    """Keeps N rows of (label, features), N·(1 + F) numbers in the metric's dtype.

    That is float32, unless ``set_dtype`` says otherwise; labels up to 2^24 are exact in it.

    Args:
        num_features: F >= 1.
        num_classes: L >= 2.
        kwargs: those of `torchmetrics.Metric`.

    Raises:
        ValueError: ``num_features`` < 1 or ``num_classes`` < 2.
    """

    is_differentiable = False
    higher_is_better: bool | None = True
    full_state_update = False
    name: str
    rows: list[Tensor]

    def __init__(self, num_features: int, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        count(self.name, num_features=num_features)
        count(self.name, least=2, num_classes=num_classes)
        self.num_features, self.num_classes = num_features, num_classes
        # one state for both: for a rank without images torchmetrics gathers one axis of the metric's dtype
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    def update(self, h_BF: Tensor, label_B: Tensor) -> None:
        """Take in (B, F) features of images with (B,) int64 labels.

        Raises:
            ValueError: another shape, features that are not finite, labels outside [0, L).
        """
        h_BF = checked_features(self.name, h_BF, self.num_features)
        check_labels(self.name, label_B, len(h_BF), self.num_classes)
        self.rows.append(torch.cat([label_B[:, None], h_BF], dim=1).to(self.dtype).flatten())

    def kept(self, least: int) -> tuple[Tensor, Tensor]:
        """(N, F) float64 features and (N,) int64 labels; of all ranks inside `compute`.

        Raises:
            ValueError: a class with fewer than ``least`` images.
        """
        rows = dim_zero_cat(self.rows) if len(self.rows) else torch.empty(0, device=self.device)
        label_N1, h_NF = rows.view(-1, 1 + self.num_features).split([1, self.num_features], dim=1)
        label_N = label_N1.squeeze(1).long()
        count, label = torch.bincount(label_N, minlength=self.num_classes).min(0)
        if count < least:
            raise ValueError(
                f"{self.name}: class {int(label)} has {int(count)} images; at least {least} of each of the "
                f"{self.num_classes} classes are needed, use more images or leave the class out."
            )
        return h_NF.double(), label_N
