"""How long features are, and how evenly. B: images, F: features."""

from typing import Any

import torch
from torch import Tensor

from ctc_lightning.checks import count
from ctc_lightning.metrics.class_moments import ClassMoments
from ctc_lightning.metrics.feature_batch import checked_features


class FeatureNorm(ClassMoments):
    """Mean and coefficient of variation of |h| over images.

    - ``mean`` = (1/N) Σ_n |h_n|, in [0, ∞), in the features' unit.
    - ``variation`` = sqrt((1/N) Σ_n (|h_n| − mean)²) / mean, in [0, ∞): 0 where all features lie on one
      sphere, 1 where the spread of lengths is as large as their mean.

    Args:
        num_features: F.
        kwargs: those of `torchmetrics.Metric`.
    """

    name = "feature norm"

    def __init__(self, num_features: int, **kwargs: Any) -> None:
        super().__init__(num_features=1, num_classes=1, **kwargs)
        count(self.name, num_features=num_features)
        self.length = num_features

    def update(self, h_BF: Tensor) -> None:  # type: ignore[override]
        """Take in (B, F) features.

        Raises:
            ValueError: another shape, or features that are not finite.
        """
        norm_B1 = checked_features(self.name, h_BF, self.length).norm(dim=1, keepdim=True)
        super().update(norm_B1, torch.zeros(len(h_BF), dtype=torch.int64, device=h_BF.device))

    def compute(self) -> dict[str, Tensor]:
        """``mean`` and ``variation``, 0-dim float64.

        Raises:
            ValueError: no images, or only zero features.
        """
        self.check_counts(least=1)
        count_1, mean_11, scatter_11 = self.moments
        mean = mean_11.squeeze()
        if mean == 0:
            raise ValueError(
                f"{self.name}: the {int(count_1)} images have only zero features; use another layer or "
                "checkpoint."
            )
        return {"mean": mean, "variation": (scatter_11 / count_1).sqrt().squeeze() / mean}
