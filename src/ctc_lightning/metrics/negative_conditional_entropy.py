"""NCE, the negative conditional entropy: how well target labels follow from source labels.

B: images of a batch, S: source classes, L: target classes
"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from ctc_lightning.checks import count
from ctc_lightning.metrics.feature_batch import check_labels


class NegativeConditionalEntropy(Metric):
    """−H(Y | Z) = Σ_{y,z} P(y, z) ln P(y | z), of target labels Y and source labels Z of the same images.

    In [−ln L, 0], higher = better: 0 where Y is a function of Z, −H(Y) where they are independent. Z are an
    image's own source labels, or, as usual, the classes that the source classifier decides for. The state is
    the (L, S) table of counts.

    Args:
        num_source_classes: S >= 1.
        num_classes: L >= 2, of the target; some may have no images.
        kwargs: those of `torchmetrics.Metric`.

    Raises:
        ValueError: ``num_source_classes`` < 1 or ``num_classes`` < 2.

    Source: Tran, Nguyen & Hassner 2019, arXiv 1908.08142. No relation to noise-contrastive estimation
    (`ctc_lightning.contrast.NCE`).
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    name = "negative conditional entropy"
    count_LS: Tensor

    def __init__(self, num_source_classes: int, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        count(self.name, num_source_classes=num_source_classes)
        count(self.name, least=2, num_classes=num_classes)
        self.num_source_classes, self.num_classes = num_source_classes, num_classes
        empty = torch.zeros(num_classes, num_source_classes, dtype=torch.int64)
        self.add_state("count_LS", default=empty, dist_reduce_fx="sum")

    def update(self, source_B: Tensor, label_B: Tensor) -> None:
        """Count images with (B,) int64 source labels and (B,) int64 target labels.

        Raises:
            ValueError: another shape, or labels outside [0, S) or [0, L).
        """
        check_labels(f"{self.name} (source)", source_B, len(label_B), self.num_source_classes)
        check_labels(self.name, label_B, len(source_B), self.num_classes)
        pair_B = label_B * self.num_source_classes + source_B
        self.count_LS += torch.bincount(pair_B, minlength=self.count_LS.numel()).view_as(self.count_LS)

    def compute(self) -> Tensor:
        """−H(Y | Z), 0-dim float64.

        Raises:
            ValueError: images of fewer than 2 target classes.
        """
        present = int(self.count_LS.any(1).sum())
        if present < 2:
            raise ValueError(
                f"{self.name}: images of {present} target classes; at least 2 are needed, use more images."
            )
        joint_LS = self.count_LS.double() / self.count_LS.sum()
        return torch.special.entr(joint_LS.sum(0)).sum() - torch.special.entr(joint_LS).sum()
