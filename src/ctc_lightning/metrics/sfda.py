"""SFDA: self-challenging Fisher discriminant analysis. N: images, F: features, L: classes."""

import torch
from torch import Tensor

from ctc_lightning.metrics.class_moments import ROUNDING
from ctc_lightning.metrics.kept_features import KeptFeatures

_RATE, _LEAST = 5.0, 1e-10


class SFDA(KeptFeatures):
    """(1/N) Σ_n p(y_n | x'_n), of a regularised discriminant analysis of features made harder by itself.

    1. S_W = Σ_c q_c Cov_c, q_c = n_c/N, the covariance within classes; λ = max(exp(−5 σ_max(S_W)), 1e-10)
       and S = (1 − λ) S_W + λ (Tr S_W/F) I.
    2. p(c | x) = softmax_c(xᵀ S⁻¹ μ_c − ½ μ_cᵀ S⁻¹ μ_c + ln q_c).
    3. ConfMix: x'_n = a_n x_n + (1 − a_n) ν_{y_n}, with a_n = softmax_c(p(c | x_n)) at c = y_n and ν_c the
       mean of the other classes' means: what is classified with less confidence is moved towards others.
    4. Steps 1 and 2 for x' instead of x, with the same λ, give p(c | x').

    In (0, 1], higher = better. λ makes it depend on the features' scale.

    Args:
        num_features: F.
        num_classes: L >= 2.
        kwargs: those of `torchmetrics.Metric`.

    Raises:
        ValueError: ``num_features`` < 1 or ``num_classes`` < 2.

    Source: Shao et al. 2022, arXiv 2207.03036, as the authors' code computes it
    (TencentARC/SFDA@3b7edf7 metrics.py), which averages probabilities, not their logarithms, and scales the
    identity by Tr S_W/F. There all eigenvectors of the discriminant analysis are kept, which is S⁻¹. σ_max is
    the exact eigenvalue; the authors' code approximates it from below by power iteration.
    """

    name = "SFDA"

    def compute(self) -> Tensor:
        """SFDA, 0-dim float64.

        Raises:
            ValueError: a class with fewer than 2 images, or images that equal their class means.
        """
        h_NF, label_N = self.kept(least=2)
        prob_NL, mean_LF, shrinkage = self._discriminate(h_NF, label_N)
        confidence_N1 = prob_NL.softmax(1).gather(1, label_N[:, None])
        others_LF = (mean_LF.sum(0) - mean_LF) / (self.num_classes - 1)
        mixed_NF = confidence_N1 * h_NF + (1 - confidence_N1) * others_LF[label_N]
        prob_NL, _, _ = self._discriminate(mixed_NF, label_N, shrinkage)
        return prob_NL.gather(1, label_N[:, None]).mean()

    def _discriminate(
        self, h_NF: Tensor, label_N: Tensor, shrinkage: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(N, L) p(c | x), (L, F) class means and λ, which is found where it is not given."""
        count_L = torch.bincount(label_N, minlength=self.num_classes).to(h_NF)
        sum_LF = h_NF.new_zeros(self.num_classes, self.num_features).index_add_(0, label_N, h_NF)
        mean_LF = sum_LF / count_L[:, None]
        deviation_NF = h_NF - mean_LF[label_N]
        within_FF = deviation_NF.T @ deviation_NF / len(h_NF)
        scale = within_FF.trace() / self.num_features
        if scale <= (ROUNDING * h_NF.abs().max()).square():
            raise ValueError(
                f"{self.name}: all {len(h_NF)} images lie on their class means, so that there is no "
                "covariance within classes; use another layer or checkpoint."
            )
        if shrinkage is None:
            shrinkage = torch.linalg.eigvalsh(within_FF)[-1].mul(-_RATE).exp().clamp(min=_LEAST)
        regularised_FF = (1 - shrinkage) * within_FF
        regularised_FF.diagonal().add_(shrinkage * scale)
        weight_FL = torch.cholesky_solve(mean_LF.T, torch.linalg.cholesky(regularised_FF))
        bias_L = (count_L / len(h_NF)).log() - (mean_LF.T * weight_FL).sum(0) / 2
        return (h_NF @ weight_FL + bias_L).softmax(1), mean_LF, shrinkage
