"""NC4: does the classifier decide as the nearest class mean would? B: images, F: features, L: classes."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from ctc_lightning.metrics.feature_batch import checked_features
from ctc_lightning.metrics.neural_collapse import check_weight


class NearestCentreAgreement(Metric):
    """The share of images with argmax_c (W h + b)_c = argmin_c |h − μ_c|, in [0, 1].

    1 (NC4 in full): the classifier decides as the nearest class mean does; 1/L is chance for balanced
    decisions. Of equal candidates the smallest label is taken, on both sides.

    It is a second pass over the images, as the means must be known: those of the training images (of
    `NeuralCollapse.moments`), also where the images are others. In return it keeps two numbers, no features.

    Args:
        mean_LF: (L, F) μ_c.
        weight_LF: (L, F) W.
        bias_L: (L,) b, 0 by default.
        kwargs: those of `torchmetrics.Metric`.

    Raises:
        ValueError: fewer than 2 classes, weight or bias of another shape, or anything that is not finite.

    Source: Papyan, Han & Donoho 2020, arXiv 2008.08186, whose figure shows the disagreement, 1 − this.
    """

    is_differentiable = False
    higher_is_better: bool | None = None
    full_state_update = False
    name = "nearest centre"
    mean_LF: Tensor
    weight_LF: Tensor
    bias_L: Tensor
    agreeing: Tensor
    num_images: Tensor

    def __init__(
        self, mean_LF: Tensor, weight_LF: Tensor, bias_L: Tensor | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if mean_LF.ndim != 2 or len(mean_LF) < 2:
            raise ValueError(
                f"{self.name}: class means of shape {tuple(mean_LF.shape)}; give at least 2 classes as "
                "(classes, features)."
            )
        if not mean_LF.isfinite().all():
            raise ValueError(f"{self.name}: class means are not finite; the network has diverged.")
        check_weight(self.name, weight_LF, *mean_LF.shape)
        bias_L = weight_LF.new_zeros(len(weight_LF)) if bias_L is None else bias_L
        if bias_L.shape != (len(mean_LF),) or not bias_L.isfinite().all():
            raise ValueError(
                f"{self.name}: the classifier's bias has shape {tuple(bias_L.shape)} or is not finite; give "
                f"{len(mean_LF)} numbers, one for each class."
            )
        for buffer, value in (("mean_LF", mean_LF), ("weight_LF", weight_LF), ("bias_L", bias_L)):
            self.register_buffer(buffer, value.detach().to(torch.float64, copy=True), persistent=False)
        for state in ("agreeing", "num_images"):
            self.add_state(state, default=torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, h_BF: Tensor) -> None:
        """Count the images of (B, F) features on which both agree.

        Raises:
            ValueError: another shape, or features that are not finite.
        """
        h_BF = checked_features(self.name, h_BF, self.mean_LF.shape[1])
        decided_B = (h_BF @ self.weight_LF.T + self.bias_L).argmax(1)
        origin_F = self.mean_LF.mean(0)  # distances about it do not cancel where all means are far out
        mean_LF = self.mean_LF - origin_F
        nearest_B = (mean_LF.square().sum(1) - 2 * (h_BF - origin_F) @ mean_LF.T).argmin(1)
        self.agreeing += (decided_B == nearest_B).sum()
        self.num_images += len(h_BF)

    def compute(self) -> Tensor:
        """The share, 0-dim float64.

        Raises:
            ValueError: no images.
        """
        if not self.num_images:
            raise ValueError(f"{self.name}: 0 images; update it with at least 1.")
        return self.agreeing.double() / self.num_images
