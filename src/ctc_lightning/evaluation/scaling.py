"""Preprocessing of frozen features, fitted on training images. N: images, F: features, P: directions kept."""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

# Standard deviations below these are the rounding of float32 features, not information: a feature's, relative
# to its largest value; a direction's among standardised features, relative to the largest
_ROUNDING, _RESOLUTION = torch.finfo(torch.float32).eps, 1e-5

Scale = Literal["standardised", "whitened"]


class Scaling(NamedTuple):
    """z = (h − μ) A.

    Attributes:
        mean_F: (F,) float64.
        map_FP: (F, P) float64.
    """

    mean_F: Tensor
    map_FP: Tensor

    def __call__(self, h_NF: Tensor) -> Tensor:
        """(N, F) to (N, P) float64."""
        return (h_NF.double() - self.mean_F) @ self.map_FP


def check_scale(scale: str | None) -> None:
    """Refuse a name that is none.

    Raises:
        ValueError: names the choices.
    """
    if scale is not None and scale not in get_args(Scale):
        raise ValueError(f"scale is {scale!r}, must be {' or '.join(get_args(Scale))} or null: choose one.")


def fit_scaling(h_NF: Tensor, scale: str | None) -> Scaling | None:
    """Fit on (N, F) features.

    Args:
        h_NF: of the training images.
        scale: ``standardised``: every feature has variance 1; features without variance become 0.
            ``whitened``: all principal components of these with variance 1, so that a probe on them does not
            depend on how the features are conditioned. None: the features as they are.

    Returns:
        What to apply to every split; None for None.
    """
    if scale is None:
        return None
    h_NF = h_NF.double()
    mean_F = h_NF.mean(0)
    deviation_F = (h_NF - mean_F).square().mean(0).sqrt()
    flat_F = deviation_F <= _ROUNDING * h_NF.abs().amax(0)
    inverse_F = torch.where(flat_F, torch.zeros_like(deviation_F), 1 / deviation_F)
    if scale == "standardised":
        return Scaling(mean_F, torch.diag(inverse_F))
    # standardised first: what is lost in rounding then does not depend on the features' scales
    z_NF = (h_NF - mean_F) * inverse_F
    variance_F, direction_FF = torch.linalg.eigh(z_NF.T @ z_NF / max(1, len(h_NF) - 1))
    kept = variance_F > _RESOLUTION**2 * variance_F[-1]
    kept[-1] = True
    variance_P = variance_F[kept].clamp(min=torch.finfo(torch.float64).tiny)
    return Scaling(mean_F, inverse_F[:, None] * direction_FF[:, kept] / variance_P.sqrt())
