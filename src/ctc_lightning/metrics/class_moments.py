"""Counts, means and scatter within classes, accumulated without cancellation.

B: images of a batch, N: all images, F: features, L: classes, P: parts to be merged
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchmetrics import Metric

from ctc_lightning.checks import count
from ctc_lightning.metrics.feature_batch import check_labels, checked_features

# Of the largest singular value: below it lies the rounding of float32 features, not information. A
# pseudo-inverse of a covariance therefore drops eigenvalues below its square, 1e-10 of the largest.
RESOLUTION = 1e-5
# Of the features' magnitude: how far equal numbers may come to lie from their mean in float64
ROUNDING = 16 * torch.finfo(torch.float64).eps


class Moments(NamedTuple):
    """What is known of all images.

    Attributes:
        count_L: (L,) n_c, images of each class.
        mean_LF: (L, F) μ_c, their mean; 0 for a class without images.
        scatter_FF: (F, F) S_W = Σ_n (h_n − μ_{y_n})(h_n − μ_{y_n})ᵀ, about each image's own class mean.
    """

    count_L: Tensor
    mean_LF: Tensor
    scatter_FF: Tensor


class ClassMoments(Metric):
    """Base of the metrics that need no more than counts, class means and the scatter within classes.

    The state is (L + F) × (1 + F) numbers in float64, however many images there are. Batches and ranks
    are merged about their common means (Chan, Golub & LeVeque 1983), never as E[h²] − E[h]², so that a
    variance far smaller than the mean keeps its digits. The result does not depend on how images are
    distributed over batches and ranks, up to the rounding of float64.

    Args:
        num_features: F >= 1.
        num_classes: L >= 1.
        kwargs: those of `torchmetrics.Metric`.

    Raises:
        ValueError: ``num_features`` or ``num_classes`` < 1.
    """

    is_differentiable = False
    higher_is_better: bool | None = None
    full_state_update = False
    name: str
    packed: Tensor

    def __init__(self, num_features: int, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        count(self.name, num_features=num_features, num_classes=num_classes)
        self.num_features, self.num_classes = num_features, num_classes
        empty = torch.zeros(num_classes + num_features, 1 + num_features, dtype=torch.float64)
        # one tensor, because means and scatter can only be merged together with the counts
        self.add_state("packed", default=empty, dist_reduce_fx=merge)

    def update(self, h_BF: Tensor, label_B: Tensor) -> None:
        """Take in (B, F) features of images with (B,) int64 labels.

        Raises:
            ValueError: another shape, features that are not finite, labels outside [0, L).
        """
        h_BF = checked_features(self.name, h_BF, self.num_features)
        check_labels(self.name, label_B, len(h_BF), self.num_classes)
        count_L = torch.bincount(label_B, minlength=self.num_classes).to(h_BF.dtype)
        sum_LF = h_BF.new_zeros(self.num_classes, self.num_features).index_add_(0, label_B, h_BF)
        mean_LF = sum_LF / count_L[:, None].clamp(min=1)
        deviation_BF = h_BF - mean_LF[label_B]
        batch = _pack(Moments(count_L, mean_LF, deviation_BF.T @ deviation_BF))
        self.packed = merge(torch.stack([self.packed, batch]))

    @property
    def moments(self) -> Moments:
        """The moments of all images so far; of all ranks inside `compute`."""
        top, bottom = self.packed.split([self.num_classes, self.num_features])
        return Moments(top[:, 0], top[:, 1:], bottom[:, 1:])

    def check_counts(self, least: int, count_L: Tensor | None = None) -> None:
        """Refuse a class with fewer than ``least`` images; ``count_L``: None: of the moments.

        Raises:
            ValueError: there is one.
        """
        count, label = (self.moments.count_L if count_L is None else count_L).min(0)
        if count < least:
            raise ValueError(
                f"{self.name}: class {int(label)} has {int(count)} images; at least {least} of each of the "
                f"{self.num_classes} classes are needed, use more images or leave the class out."
            )


def merge(packed_P: Tensor) -> Tensor:
    """The moments of the union of P disjoint parts, each packed, stacked along the first axis.

    S_W = Σ_p S_W,p + Σ_p Σ_c n_pc (μ_pc − μ_c)(μ_pc − μ_c)ᵀ
    """
    num_features = packed_P.shape[2] - 1
    top_PL = packed_P[:, :-num_features]
    count_PL, mean_PLF = top_PL[:, :, 0], top_PL[:, :, 1:]
    count_L = count_PL.sum(0)
    mean_LF = (count_PL[:, :, None] * mean_PLF).sum(0) / count_L[:, None].clamp(min=1)
    # most batches hold few of many classes, and a class of one part alone has its mean there
    shared_L = (count_PL > 0).sum(0) > 1
    mean_LF = torch.where(shared_L[:, None], mean_LF, mean_PLF.sum(0))
    spread_PLF = count_PL[:, shared_L, None].sqrt() * (mean_PLF[:, shared_L] - mean_LF[shared_L])
    spread = spread_PLF.flatten(0, 1)
    scatter_FF = packed_P[:, -num_features:, 1:].sum(0) + spread.T @ spread
    return _pack(Moments(count_L, mean_LF, scatter_FF))


def _pack(moments: Moments) -> Tensor:
    top = torch.cat([moments.count_L[:, None], moments.mean_LF], dim=1)
    return torch.cat([top, pad(moments.scatter_FF, (1, 0))])
