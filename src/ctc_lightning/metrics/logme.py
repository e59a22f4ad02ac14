"""LogME: how probable the labels are under a linear model.

B: images of a batch, N: all images, F: features, L: classes, K: rank
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torchmetrics.utilities import dim_zero_cat

from ctc_lightning.checks import count
from ctc_lightning.metrics.class_moments import ClassMoments
from ctc_lightning.metrics.feature_batch import check_labels, checked_features

_EPSILON = 1e-5  # the authors'; without it α or β of features without noise or signal is infinite
_STEPS, _TOLERANCE = 500, 1e-9


class LogME(ClassMoments):
    """(1/L) Σ_c (1/N) max_{α,β} ln p(y_c | H, α, β), the evidence of one-vs-rest labels y_c in {0, 1}.

    The model is y_c = H w + noise with w ~ N(0, α⁻¹ I) and noise ~ N(0, β⁻¹). With σ the non-zero
    eigenvalues of HᵀH, u their left singular vectors, z = uᵀ y_c and t = α/β:

    - γ = Σ σ/(σ + t), |m|² = Σ σ z²/(σ + t)², r² = |y_c|² − Σ z² + Σ z² t²/(σ + t)²,
    - the fixed point of α = γ/(|m|² + ε), β = (N − γ)/(r² + ε), begun at α = β = 1,
    - ln p = K/2 ln α + N/2 ln β − ½ Σ ln(α + βσ) − β/2 r² − α/2 |m|² − N/2 ln 2π.

    Higher = better; in nats per image and not bounded by 0, as y_c counts as continuous: compare it on the
    same images only. It is invariant under rotations of the features and defined for any N and F.

    Args:
        num_features: F.
        num_classes: L >= 2.
        kwargs: those of `torchmetrics.Metric`.

    Raises:
        ValueError: ``num_classes`` < 2.

    Source: You et al. 2021, arXiv 2102.11005, with the fixed point of You et al. 2022, arXiv 2110.10545.
    Unlike the authors' code (thuml/LogME) it iterates until t changes by less than 1e-9, a step being the
    geometric mean of the old and the new t (where a class has no signal, plain steps would alternate for
    ever), and directions without variance add nothing to ln p, as the determinant demands and as in their
    first version; their faster version adds (F − K)/2 ln α, so that where K < F its scores cannot be compared
    across networks. Up to N = F images are kept and the N × N matrix HHᵀ is decomposed. Of more images,
    counts, means and scatter of classes give HᵀH and Hᵀy_c.
    """

    name = "LogME"
    higher_is_better = True
    rows: list[Tensor]

    def __init__(self, num_features: int, num_classes: int, **kwargs: Any) -> None:
        super().__init__(num_features, num_classes, **kwargs)
        count(self.name, least=2, num_classes=num_classes)
        self.set_dtype(torch.float64)  # in which a rank without images gathers its rows
        # (label, features) of images that are not in the moments
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    def update(self, h_BF: Tensor, label_B: Tensor) -> None:
        """Take in (B, F) features of images with (B,) int64 labels.

        Raises:
            ValueError: another shape, features that are not finite, labels outside [0, L).
        """
        h_BF = checked_features(self.name, h_BF, self.num_features)
        check_labels(self.name, label_B, len(h_BF), self.num_classes)
        if sum(map(len, self.rows)) // (1 + self.num_features) + len(h_BF) <= self.num_features:
            self.rows.append(torch.cat([label_B[:, None], h_BF], dim=1).flatten())
            return
        kept_NF, kept_N = self._kept()
        super().update(torch.cat([kept_NF, h_BF]), torch.cat([kept_N, label_B]))
        self.rows = []

    def compute(self) -> Tensor:
        """LogME, 0-dim float64.

        Raises:
            ValueError: a class without images, or only zero features.
        """
        h_NF, label_N = self._kept()
        count_L = self.moments.count_L
        few = not count_L.any() and len(h_NF) <= self.num_features
        if not few and len(h_NF):
            super().update(h_NF, label_N)
            self.rows = []
        count_L = label_N.bincount(minlength=self.num_classes).to(h_NF) if few else self.moments.count_L
        self.check_counts(1, count_L)
        if few:
            sigma_K, basis_NK = self._resolved(h_NF @ h_NF.T, count_L)
            hit_NL = one_hot(label_N, self.num_classes).to(h_NF)
            return _evidence(sigma_K, (hit_NL.T @ basis_NK).square(), count_L).mean()
        _, mean_LF, scatter_FF = self.moments
        total_LF = count_L[:, None] * mean_LF
        sigma_K, basis_FK = self._resolved(scatter_FF + mean_LF.T @ total_LF, count_L)
        return _evidence(sigma_K, (total_LF @ basis_FK).square() / sigma_K, count_L).mean()

    def _kept(self) -> tuple[Tensor, Tensor]:
        """Features and labels that are not in the moments; of all ranks inside `compute`."""
        rows = dim_zero_cat(self.rows) if len(self.rows) else self.packed.new_empty(0)
        label_N1, h_NF = rows.view(-1, 1 + self.num_features).split([1, self.num_features], dim=1)
        return h_NF, label_N1.squeeze(1).long()

    def _resolved(self, gram: Tensor, count_L: Tensor) -> tuple[Tensor, Tensor]:
        """Eigenvalues above rounding, and their eigenvectors as columns."""
        sigma, basis = torch.linalg.eigh(gram)
        resolved = sigma > torch.finfo(sigma.dtype).eps * self.num_features * sigma[-1]
        if not resolved.any():
            raise ValueError(
                f"{self.name}: the {int(count_L.sum())} images have only zero features; use another layer or "
                "checkpoint."
            )
        return sigma[resolved], basis[:, resolved]


def _evidence(sigma_K: Tensor, square_LK: Tensor, count_L: Tensor) -> Tensor:
    """(L,) ln p/N, of z² and |y_c|² = the number of its images."""
    num_images = count_L.sum()
    unexplained_L = (count_L - square_LK.sum(1)).clamp(min=0)
    ratio_L = torch.ones_like(count_L)
    for _ in range(_STEPS):
        alpha_L, beta_L, _, _ = _precisions(sigma_K, square_LK, unexplained_L, num_images, ratio_L)
        before_L, ratio_L = ratio_L, (ratio_L * alpha_L / beta_L).sqrt()
        if ((ratio_L / before_L).log().abs() < _TOLERANCE).all():
            break
    alpha_L, beta_L, weight_L, residual_L = _precisions(
        sigma_K, square_LK, unexplained_L, num_images, ratio_L
    )
    log_det_L = (alpha_L[:, None] + beta_L[:, None] * sigma_K).log().sum(1)
    return (
        len(sigma_K) * alpha_L.log()
        + num_images * beta_L.log()
        - log_det_L
        - beta_L * residual_L
        - alpha_L * weight_L
    ) / (2 * num_images) - math.log(2 * math.pi) / 2


def _precisions(
    sigma_K: Tensor, square_LK: Tensor, unexplained_L: Tensor, num_images: Tensor, ratio_L: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The next α and β, and |m|² and r² at t."""
    damped_LK = sigma_K + ratio_L[:, None]
    gamma_L = (sigma_K / damped_LK).sum(1)
    weight_L = (sigma_K * square_LK / damped_LK.square()).sum(1)
    residual_L = unexplained_L + (square_LK * (ratio_L[:, None] / damped_LK).square()).sum(1)
    alpha_L = gamma_L / (weight_L + _EPSILON)
    beta_L = (num_images - gamma_L) / (residual_L + _EPSILON)
    return alpha_L, beta_L, weight_L, residual_L
