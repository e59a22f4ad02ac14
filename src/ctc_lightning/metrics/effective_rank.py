"""How many directions the features really use. B: images, F: features."""

from typing import Any

import torch
from torch import Tensor

from ctc_lightning.metrics.class_moments import ROUNDING, ClassMoments

_LEAST = torch.finfo(torch.float64).eps


class EffectiveRank(ClassMoments):
    """erank = exp(−Σ_i p_i ln p_i), p_i = σ_i / Σ_j σ_j, σ the singular values of the (N, F) features.

    In [1, min(N, F)]: 1 where all images lie on one line, F where every direction is used equally.

    Args:
        num_features: F.
        centre: True: of features minus their mean, so that a common offset does not count as a direction.
            False: of the features as they are.
        kwargs: those of `torchmetrics.Metric`.

    Source: Roy & Vetterli 2007, "The effective rank: a measure of effective dimensionality", EUSIPCO, where
    the matrix is taken as it is (``centre=False``). Singular values are square roots of eigenvalues of HᵀH
    in float64; eigenvalues below F·2.2e-16 of the largest are its rounding and count as 0.
    """

    name = "effective rank"

    def __init__(self, num_features: int, *, centre: bool = True, **kwargs: Any) -> None:
        super().__init__(num_features, num_classes=1, **kwargs)
        self.centre = centre

    def update(self, h_BF: Tensor) -> None:  # type: ignore[override]
        """Take in (B, F) features.

        Raises:
            ValueError: another shape, or features that are not finite.
        """
        super().update(h_BF, torch.zeros(len(h_BF), dtype=torch.int64, device=h_BF.device))

    def compute(self) -> Tensor:
        """The effective rank, 0-dim float64.

        Raises:
            ValueError: fewer than 2 images, or features that are all equal (centred) or all zero (not).
        """
        self.check_counts(least=2)
        count_1, mean_1F, gram_FF = self.moments
        uncentred_FF = gram_FF + count_1 * mean_1F.T @ mean_1F
        magnitude = uncentred_FF.trace()
        if not self.centre:
            gram_FF = uncentred_FF
        if gram_FF.trace() <= ROUNDING**2 * magnitude:
            raise ValueError(
                f"{self.name}: the {int(count_1)} images have {'the same' if self.centre else 'only zero'} "
                "features, which have no direction; use another layer or checkpoint."
            )
        square_F = torch.linalg.eigvalsh(gram_FF)
        sigma = square_F[square_F > _LEAST * self.num_features * square_F[-1]].sqrt()
        return torch.special.entr(sigma / sigma.sum()).sum().exp()
