"""Preprocessing of frozen features, fitted on training images. N: images, F: features, P: directions kept."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

# Standard deviations below these are the rounding of float32 features, not information: a feature's, relative
# to its largest value; a direction's among standardised features, relative to the largest
_ROUNDING, _RESOLUTION = torch.finfo(torch.float32).eps, 1e-5
_BLOCK = 4096  # images in float64 at once

Scale = Literal["standardised", "whitened"]


class Scaling(NamedTuple):
    """z = (h − μ) A.

    Attributes:
        mean_F: (F,) float64.
        map_FP: (F, P) float64.
        whitens: whether the covariance of z is the identity on the images it was fitted on.
    """

    mean_F: Tensor
    map_FP: Tensor
    whitens: bool = False

    def __call__(self, h_NF: Tensor) -> Tensor:
        """(N, F) to (N, P) float64."""
        return (h_NF.double() - self.mean_F) @ self.map_FP


class FeatureSums(NamedTuple):
    """What a scaling needs of N images.

    Attributes:
        num_images: N.
        mean_F: μ, float64.
        scatter_FF: Σ_n (h_n − μ)(h_n − μ)ᵀ, float64.
        largest_F: max_n |h_nf|.
    """

    num_images: int
    mean_F: Tensor
    scatter_FF: Tensor
    largest_F: Tensor

    @classmethod
    def of(cls, h_NF: Tensor) -> "FeatureSums":
        """Of (N, F) features."""
        mean_F = h_NF.mean(0, dtype=torch.float64)
        scatter_FF = mean_F.new_zeros(len(mean_F), len(mean_F))
        for h_BF in h_NF.split(_BLOCK):
            centred_BF = h_BF - mean_F
            scatter_FF.addmm_(centred_BF.T, centred_BF)
        least_F, most_F = h_NF.aminmax(dim=0)
        return cls(len(h_NF), mean_F, scatter_FF, torch.maximum(-least_F, most_F))

    def union(self, other: "FeatureSums") -> "FeatureSums":
        """Of both sets of images, about their common mean (Chan, Golub & LeVeque 1983)."""
        num_images = self.num_images + other.num_images
        apart_F = other.mean_F - self.mean_F
        share = other.num_images / num_images
        scatter_FF = self.scatter_FF + other.scatter_FF
        scatter_FF = scatter_FF + self.num_images * share * torch.outer(apart_F, apart_F)
        largest_F = torch.maximum(self.largest_F, other.largest_F)
        return FeatureSums(num_images, self.mean_F + share * apart_F, scatter_FF, largest_F)


def fit_scaling(features: Tensor | FeatureSums, scale: str | None) -> Scaling | None:
    """Fit on (N, F) features.

    Args:
        features: of the training images, or their sums.
        scale: ``standardised``: every feature has variance 1; features without variance become 0.
            ``whitened``: all principal components of these with variance 1, so that a probe on them does not
            depend on how the features are conditioned. None: the features as they are.

    Returns:
        What to apply to every split; None for None.
    """
    if scale is None:
        return None
    sums = FeatureSums.of(features) if isinstance(features, Tensor) else features
    deviation_F = (sums.scatter_FF.diagonal() / sums.num_images).sqrt()
    flat_F = deviation_F <= _ROUNDING * sums.largest_F
    inverse_F = torch.where(flat_F, torch.zeros_like(deviation_F), 1 / deviation_F)
    if scale == "standardised":
        return Scaling(sums.mean_F, torch.diag(inverse_F))
    # standardised first: what is lost in rounding then does not depend on the features' scales
    correlated_FF = inverse_F[:, None] * sums.scatter_FF * inverse_F
    variance_F, direction_FF = torch.linalg.eigh(correlated_FF / max(1, sums.num_images - 1))
    kept = variance_F > _RESOLUTION**2 * variance_F[-1]
    kept[-1] = True
    variance_P = variance_F[kept].clamp(min=torch.finfo(torch.float64).tiny)
    map_FP = inverse_F[:, None] * direction_FF[:, kept] / variance_P.sqrt()
    return Scaling(sums.mean_F, map_FP, whitens=True)
