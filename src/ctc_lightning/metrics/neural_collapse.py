"""How far features have collapsed onto their class means: NC1, NC2, NC3. F: features, L: classes, R: rank."""

from typing import Any

import torch
from torch import Tensor

from ctc_lightning.checks import count
from ctc_lightning.metrics.class_moments import RESOLUTION, ROUNDING, ClassMoments


class NeuralCollapse(ClassMoments):
    """The first three signs of neural collapse; all of them are 0 for features on a simplex ETF.

    With μ_c the class means, μ their mean, m_c = μ_c − μ, Σ_B = (1/L) Σ_c m_c m_cᵀ and Σ_W the mean over
    images of (h − μ_y)(h − μ_y)ᵀ:

    - ``nc1`` = Tr(Σ_W Σ_B⁺)/L, in [0, ∞): variability within classes, relative to that between them.
    - ``nc2_equinorm`` = std_c |m_c| / mean_c |m_c|, in [0, ∞): 0 where all class means are equally far out.
    - ``nc2_equiangular`` = std over pairs c < c' of cos(m_c, m_c'), in [0, 1]: 0 where all angles are equal.
    - ``nc2_maximal_angle`` = mean over pairs of |cos(m_c, m_c') + 1/(L−1)|, in [0, 2): 0 where the angles
      are the largest that L vectors can have between all of them.
    - ``nc3`` = ‖W/‖W‖ − M/‖M‖‖², Frobenius norms, in [0, 4], only with a classifier: 0 where its weights are
      a multiple of the class means M = (m_1 … m_L)ᵀ, 2 where they are orthogonal to them.

    NC4 needs the images themselves once the means are known: see `NearestCentreAgreement`.

    Args:
        num_features: F.
        num_classes: L >= 2.
        weight_LF: (L, F) W, the classifier's weight; without it there is no ``nc3``.
        kwargs: those of `torchmetrics.Metric`.

    Raises:
        ValueError: ``num_classes`` < 2, or a weight of another shape, not finite or zero.

    Source: Papyan, Han & Donoho 2020, arXiv 2008.08186. Σ_B⁺ leaves out singular values of M below 1e-5 of
    the largest. μ is the mean of class means, not of images, and standard deviations divide by the number
    of classes and of pairs; where classes are equally frequent, as in the paper, the first is no difference.
    """

    name = "neural collapse"
    weight_LF: Tensor | None

    def __init__(
        self, num_features: int, num_classes: int, weight_LF: Tensor | None = None, **kwargs: Any
    ) -> None:
        super().__init__(num_features, num_classes, **kwargs)
        count(self.name, least=2, num_classes=num_classes)
        if weight_LF is not None:
            check_weight(self.name, weight_LF, num_classes, num_features)
            weight_LF = weight_LF.detach().to(torch.float64, copy=True)
        self.register_buffer("weight_LF", weight_LF, persistent=False)

    def compute(self) -> dict[str, Tensor]:
        """The numbers above, 0-dim float64.

        Raises:
            ValueError: a class with fewer than 2 images, or one whose mean is that of all classes.
        """
        self.check_counts(least=2)
        count_L, mean_LF, scatter_FF = self.moments
        m_LF = mean_LF - mean_LF.mean(0)
        norm_L = m_LF.norm(dim=1)
        if norm_L.min() <= ROUNDING * mean_LF.norm(dim=1).max():
            raise ValueError(
                f"{self.name}: the mean of class {int(norm_L.argmin())} equals the mean of all classes, so "
                "it has no direction; the features are constant or degenerate, use another layer or "
                "checkpoint."
            )

        _, singular_R, basis_RF = torch.linalg.svd(m_LF, full_matrices=False)
        kept_R = singular_R > RESOLUTION * singular_R[0]
        within_R = ((basis_RF @ scatter_FF) * basis_RF).sum(1) / count_L.sum()
        between_R = singular_R.square() / self.num_classes

        direction_LF = m_LF / norm_L[:, None]
        row, column = torch.triu_indices(self.num_classes, self.num_classes, 1, device=m_LF.device)
        cosine_pair = (direction_LF @ direction_LF.T)[row, column]
        found = {
            "nc1": (within_R[kept_R] / between_R[kept_R]).sum() / self.num_classes,
            "nc2_equinorm": norm_L.std(correction=0) / norm_L.mean(),
            "nc2_equiangular": cosine_pair.std(correction=0),
            "nc2_maximal_angle": (cosine_pair + 1 / (self.num_classes - 1)).abs().mean(),
        }
        if self.weight_LF is not None:
            weight_LF = self.weight_LF.to(m_LF)
            found["nc3"] = (weight_LF / weight_LF.norm() - m_LF / m_LF.norm()).square().sum()
        return found


def check_weight(metric: str, weight_LF: Tensor, num_classes: int, num_features: int) -> None:
    """Refuse a classifier's weight of another shape, or without a finite direction.

    Raises:
        ValueError: it is one.
    """
    if weight_LF.shape != (num_classes, num_features):
        raise ValueError(
            f"{metric}: the classifier's weight has shape {tuple(weight_LF.shape)}; features and classes "
            f"need {(num_classes, num_features)}, give the weight of the layer that reads these features."
        )
    if not weight_LF.isfinite().all() or not weight_LF.any():
        raise ValueError(
            f"{metric}: the classifier's weight is zero or not finite; give that of a trained classifier."
        )
