"""The variability collapse index: collapse as a linear probe sees it. F: features, L: classes."""

from typing import Any

import torch
from torch import Tensor

from ctc_lightning.checks import count
from ctc_lightning.metrics.class_moments import RESOLUTION, ROUNDING, ClassMoments


class VariabilityCollapseIndex(ClassMoments):
    """VCI = 1 − Tr(Σ_T⁺ Σ_B) / rank(Σ_B), in [0, 1].

    Σ_B = Σ_c (n_c/N)(μ_c − μ)(μ_c − μ)ᵀ and Σ_T = Σ_W + Σ_B, the covariance of all images. 0: every image
    lies on its class mean (full collapse); towards 1: class means do not differ by more than noise. It is
    invariant under invertible linear maps of the features.

    Args:
        num_features: F.
        num_classes: L >= 2.
        kwargs: those of `torchmetrics.Metric`.

    Raises:
        ValueError: ``num_classes`` < 2.

    Source: Xu & Liu 2023, arXiv 2306.03440. Classes are weighted by their images, so that Σ_T is the
    covariance also where they are not equally frequent, as the paper assumes. Σ_T⁺ and the rank leave out
    directions of less than 1e-5 of the largest standard deviation of Σ_T.
    """

    name = "variability collapse index"

    def __init__(self, num_features: int, num_classes: int, **kwargs: Any) -> None:
        super().__init__(num_features, num_classes, **kwargs)
        count(self.name, least=2, num_classes=num_classes)

    def compute(self) -> Tensor:
        """VCI, 0-dim float64.

        Raises:
            ValueError: a class with fewer than 2 images, or class means that do not differ.
        """
        self.check_counts(least=2)
        count_L, mean_LF, scatter_FF = self.moments
        weight_L1 = (count_L / count_L.sum())[:, None]
        m_LF = weight_L1.sqrt() * (mean_LF - (weight_L1 * mean_LF).sum(0))
        variance_F, basis_FF = torch.linalg.eigh(scatter_FF / count_L.sum() + m_LF.T @ m_LF)
        resolved_F = variance_F > RESOLUTION**2 * variance_F[-1]
        coordinate_LF = m_LF @ basis_FF[:, resolved_F]
        rank = int((torch.linalg.svdvals(m_LF) > RESOLUTION * variance_F[-1].clamp(min=0).sqrt()).sum())
        if rank == 0 or m_LF.norm() <= ROUNDING * mean_LF.norm(dim=1).max():
            raise ValueError(
                f"{self.name}: all {self.num_classes} class means are equal, so no collapse can be measured; "
                "the features are constant or degenerate, use another layer or checkpoint."
            )
        return 1 - (coordinate_LF.square() / variance_F[resolved_F]).sum() / rank
