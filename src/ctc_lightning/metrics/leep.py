"""LEEP: how well target labels follow from a classifier of the source. S: source classes, L: target classes.

B: images of a batch, N: all images
"""

from typing import Any

import torch
from torch import Tensor

from ctc_lightning.metrics.kept_features import KeptFeatures

_SUM_TOLERANCE = 1e-2  # half precision sums to 1 within this


class LEEP(KeptFeatures):
    """(1/N) Σ_n ln Σ_s P(y_n | s) θ(x_n)_s, with θ(x) the source classifier's probabilities of x.

    P(y, s) = (1/N) Σ_{n: y_n = y} θ(x_n)_s and P(y | s) = P(y, s)/Σ_y' P(y', s): the log-likelihood of a
    predictor that draws a source class from θ(x) and then a target label. In (−∞, 0], higher = better: 0
    where every source class that is used leads to one target label, −H(Y) where θ does not depend on x.
    For one-hot θ it equals `NegativeConditionalEntropy`.

    The second pass over θ makes it keep N·(1 + S) numbers (see `KeptFeatures`).

    Args:
        num_source_classes: S.
        num_classes: L >= 2, of the target; some may have no images.
        kwargs: those of `torchmetrics.Metric`.

    Raises:
        ValueError: ``num_source_classes`` < 1 or ``num_classes`` < 2.

    Source: Nguyen et al. 2020, arXiv 2002.12462.
    """

    name = "LEEP"

    def __init__(self, num_source_classes: int, num_classes: int, **kwargs: Any) -> None:
        super().__init__(num_source_classes, num_classes, **kwargs)

    def update(self, prob_BS: Tensor, label_B: Tensor) -> None:
        """Take in (B, S) source probabilities of images with (B,) int64 target labels.

        Raises:
            ValueError: another shape, rows that are not probabilities, labels outside [0, L).
        """
        if prob_BS.ndim != 2 or prob_BS.shape[1] != self.num_features:
            raise ValueError(
                f"{self.name}: source probabilities of shape {tuple(prob_BS.shape)}; it was built for "
                f"(images, {self.num_features}): set num_source_classes to the source's."
            )
        # written so that NaN is bad
        good_B = (prob_BS >= 0).all(1) & ((prob_BS.double().sum(1) - 1).abs() <= _SUM_TOLERANCE)
        if not good_B.all():
            raise ValueError(
                f"{self.name}: {int((~good_B).sum())} of {len(prob_BS)} images have rows that are not "
                "probabilities (at least 0, with sum 1); give the softmax of the source's logits."
            )
        super().update(prob_BS, label_B)

    def compute(self) -> Tensor:
        """LEEP, 0-dim float64.

        Raises:
            ValueError: images of fewer than 2 target classes.
        """
        prob_NS, label_N = self.kept(least=0)
        present = len(label_N.unique())
        if present < 2:
            raise ValueError(
                f"{self.name}: images of {present} target classes; at least 2 are needed, use more images."
            )
        return expected_log_prediction(prob_NS, label_N, self.num_classes)


def expected_log_prediction(prob_NS: Tensor, label_N: Tensor, num_classes: int) -> Tensor:
    """LEEP of all (N, S) probabilities and (N,) labels, 0-dim."""
    joint_LS = prob_NS.new_zeros(num_classes, prob_NS.shape[1]).index_add_(0, label_N, prob_NS)
    # a source class of probability 0 everywhere predicts nothing, it never comes up
    conditional_LS = joint_LS / joint_LS.sum(0).clamp(min=torch.finfo(joint_LS.dtype).tiny)
    return (prob_NS * conditional_LS[label_N]).sum(1).log().mean()
