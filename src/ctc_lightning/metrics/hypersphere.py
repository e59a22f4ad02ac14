"""Features on the unit sphere: are views of an image close, do images spread out.

B: images of a batch, N: all images, F: features
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from ctc_lightning.checks import in_range
from ctc_lightning.metrics.feature_batch import checked_features

_BLOCK = 2**22  # similarities held at once: 32 MiB


class Alignment(Metric):
    """(1/N) Σ_n |z_n − z'_n|^α, z = h/|h| and z' = h'/|h'| of two views of one image; in [0, 2^α].

    0: both views have the same direction; 2 (for α = 2): they are orthogonal, as of unrelated images.

    Args:
        num_features: F.
        alpha: α > 0.
        kwargs: those of `torchmetrics.Metric`.

    Raises:
        ValueError: ``num_features`` < 1 or ``alpha`` <= 0.

    Source: Wang & Isola 2020, arXiv 2005.10242.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    name = "alignment"
    total: Tensor
    num_images: Tensor

    def __init__(self, num_features: int, alpha: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        in_range(self.name, "(0, inf)", num_features=num_features, alpha=alpha)
        self.num_features, self.alpha = num_features, alpha
        self.add_state("total", default=torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("num_images", default=torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, h_BF: Tensor, other_BF: Tensor) -> None:
        """Take in (B, F) features of two views, row by row of the same images.

        Raises:
            ValueError: different or other shapes, features that are zero or not finite.
        """
        if len(h_BF) != len(other_BF):
            raise ValueError(
                f"{self.name}: {len(h_BF)} first and {len(other_BF)} second views; give one pair for each "
                "image."
            )
        distance_B = (
            _on_sphere(self.name, h_BF, self.num_features)
            - _on_sphere(self.name, other_BF, self.num_features)
        ).norm(dim=1)
        self.total += distance_B.pow(self.alpha).sum()
        self.num_images += len(h_BF)

    def compute(self) -> Tensor:
        """The mean, 0-dim float64.

        Raises:
            ValueError: no images.
        """
        if not self.num_images:
            raise ValueError(f"{self.name}: 0 images; update it with at least 1.")
        return self.total / self.num_images


class Uniformity(Metric):
    """ln [ 2/(N(N−1)) Σ_{n<m} exp(−t |z_n − z_m|²) ], z = h/|h|; in [−4t, 0].

    0: all features have one direction; the more evenly they spread over the sphere the lower, for many
    independent directions in high dimensions close to −2t.

    It needs all pairs, so the N directions are kept: N·F numbers in the metric's dtype (float32, unless
    ``set_dtype`` says otherwise). Similarities are computed in float64, 32 MiB of them at once, not N × N;
    the time grows with N²·F.

    Args:
        num_features: F.
        t: > 0, how quickly a pair's weight falls with its distance.
        kwargs: those of `torchmetrics.Metric`.

    Raises:
        ValueError: ``num_features`` < 1 or ``t`` <= 0.

    Source: Wang & Isola 2020, arXiv 2005.10242.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    name = "uniformity"
    direction: list[Tensor]

    def __init__(self, num_features: int, t: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        in_range(self.name, "(0, inf)", num_features=num_features, t=t)
        self.num_features, self.t = num_features, t
        self.add_state("direction", default=[], dist_reduce_fx="cat")

    def update(self, h_BF: Tensor) -> None:
        """Take in (B, F) features.

        Raises:
            ValueError: another shape, features that are zero or not finite.
        """
        # flat: for a rank without images torchmetrics gathers one axis
        self.direction.append(_on_sphere(self.name, h_BF, self.num_features).to(self.dtype).flatten())

    def compute(self) -> Tensor:
        """The logarithm of the mean, 0-dim float64.

        Raises:
            ValueError: fewer than 2 images.
        """
        kept = dim_zero_cat(self.direction) if len(self.direction) else torch.empty(0)
        z_NF = normalize(kept.view(-1, self.num_features).double(), dim=1)
        if len(z_NF) < 2:
            raise ValueError(f"{self.name}: {len(z_NF)} images; a pair needs at least 2.")
        rows = max(1, _BLOCK // len(z_NF))
        log_sums = []
        for start in range(0, len(z_NF) - 1, rows):
            # of the pairs n < m, those of ``rows`` images n: the columns before ``start`` hold none
            square = 2 - 2 * z_NF[start : start + rows] @ z_NF[start:].T
            later = torch.ones_like(square, dtype=torch.bool).triu(1)
            log_sums.append((-self.t * square.clamp(min=0))[later].logsumexp(0))
        num_pairs = len(z_NF) * (len(z_NF) - 1) // 2
        return torch.stack(log_sums).logsumexp(0) - math.log(num_pairs)


def _on_sphere(metric: str, h_BF: Tensor, num_features: int) -> Tensor:
    h_BF = checked_features(metric, h_BF, num_features)
    # by the largest entry first: the square of a very small feature would vanish
    largest_B1 = h_BF.abs().amax(dim=1, keepdim=True)
    if not largest_B1.all():
        raise ValueError(
            f"{metric}: {int((largest_B1 == 0).sum())} of {len(h_BF)} images have only zero features, which "
            "have no direction; use another layer or checkpoint."
        )
    return normalize(h_BF / largest_B1, dim=1)
