"""H-score: how much of the features' variance the classes explain. F: features, L: classes."""

from typing import Any

import torch
from torch import Tensor

from ctc_lightning.checks import count
from ctc_lightning.metrics.class_moments import RESOLUTION, ROUNDING, ClassMoments


class HScore(ClassMoments):
    """H = Tr(Σ⁺ Σ_B), or with shrinkage (1 − λ) Tr(((1 − λ) Σ + λ m I)⁻¹ Σ_B); in [0, min(F, L − 1)].

    Σ is the covariance of the features (about their mean, divided by N), Σ_B = Σ_c (n_c/N)(μ_c − μ)(μ_c − μ)ᵀ
    that of their class means, m = Tr(Σ)/F and λ in [0, 1] the shrinkage of Ledoit & Wolf 2004:

        λ = min(1, (Σ_n |h_n − μ|⁴ / N − |Σ|²) / (N |Σ − m I|²)), Frobenius norms.

    Higher = better. Without shrinkage it is invariant under invertible linear maps of the features and
    needs more images than features; with it under rotations and scaling, for any N and F.

    Args:
        num_features: F.
        num_classes: L >= 2.
        shrinkage: regularise the covariance.
        kwargs: those of `torchmetrics.Metric`.

    Raises:
        ValueError: ``num_classes`` < 2.

    Source: Bao et al. 2019, "An information-theoretic approach to transferability in task transfer
    learning", ICIP; with shrinkage Ibrahim et al. 2021, arXiv 2110.06893. Σ_B is divided by N like Σ;
    implementations that divide one of them by N − 1 differ by that factor. Without shrinkage Σ⁺ leaves out
    directions of less than 1e-5 of the largest standard deviation. No features are kept: Σ_n |h_n − μ|⁴ is
    put together from sums, whose rounding only matters, in λ, where |μ| is 1000 times the features' spread.
    """

    name = "H-score"
    higher_is_better = True
    fourth: Tensor
    third_F: Tensor

    def __init__(self, num_features: int, num_classes: int, *, shrinkage: bool = True, **kwargs: Any) -> None:
        super().__init__(num_features, num_classes, **kwargs)
        count(self.name, least=2, num_classes=num_classes)
        self.shrinkage = shrinkage
        self.add_state("fourth", default=torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state(
            "third_F", default=torch.zeros(num_features, dtype=torch.float64), dist_reduce_fx="sum"
        )

    def update(self, h_BF: Tensor, label_B: Tensor) -> None:
        """Take in (B, F) features of images with (B,) int64 labels.

        Raises:
            ValueError: another shape, features that are not finite, labels outside [0, L).
        """
        super().update(h_BF, label_B)
        h_BF = h_BF.detach().double()
        square_B = h_BF.square().sum(1)
        self.fourth += square_B.square().sum()
        self.third_F += square_B @ h_BF

    def compute(self) -> Tensor:
        """H, 0-dim float64.

        Raises:
            ValueError: a class with fewer than 2 images, features that are all equal, or, without
                shrinkage, no more images than features.
        """
        self.check_counts(least=2)
        count_L, mean_LF, scatter_FF = self.moments
        num_images = count_L.sum()
        if not self.shrinkage and num_images <= self.num_features:
            raise ValueError(
                f"{self.name}: {int(num_images)} images of {self.num_features} features; without shrinkage "
                f"at least {self.num_features + 1} are needed, set shrinkage=True or use more images."
            )
        weight_L1 = (count_L / num_images)[:, None]
        mean_F = (weight_L1 * mean_LF).sum(0)
        between_LF = weight_L1.sqrt() * (mean_LF - mean_F)
        covariance_FF = scatter_FF / num_images + between_LF.T @ between_LF
        scale = covariance_FF.trace() / self.num_features
        if scale <= (ROUNDING * mean_LF.norm(dim=1).max()).square():
            raise ValueError(
                f"{self.name}: the {int(num_images)} images have the same features, which tell no classes "
                "apart; use another layer or checkpoint."
            )
        variance_F, basis_FF = torch.linalg.eigh(covariance_FF)
        explained_F = (between_LF @ basis_FF).square().sum(0)
        if self.shrinkage:
            kept = 1 - self._shrinkage_strength(covariance_FF, mean_F, num_images)
            return (kept * explained_F / (kept * variance_F.clamp(min=0) + (1 - kept) * scale)).sum()
        resolved_F = variance_F > RESOLUTION**2 * variance_F[-1]
        return (explained_F[resolved_F] / variance_F[resolved_F]).sum()

    def _shrinkage_strength(self, covariance_FF: Tensor, mean_F: Tensor, num_images: Tensor) -> Tensor:
        """λ; Σ_n |h_n − μ|⁴/N by the binomial theorem from moments about 0."""
        trace, square = covariance_FF.trace(), mean_F.square().sum()
        fourth = (
            (self.fourth - 4 * mean_F @ self.third_F) / num_images
            + 4 * mean_F @ covariance_FF @ mean_F
            + 2 * square * trace
            + 3 * square.square()
        )
        size = covariance_FF.square().sum()
        noise = (fourth - size).clamp(min=0) / num_images
        distance = size - trace.square() / self.num_features
        # a multiple of the identity is what shrinkage would lead to
        return (noise / distance).clamp(max=1) if distance > 0 else torch.ones_like(noise)
