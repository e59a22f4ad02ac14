"""What a classifier reaches on labelled images. C: classes, B: images."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot
from torchmetrics import Metric
from torchmetrics.classification import MulticlassCalibrationError


class ClassifierScores(Metric):
    """``top1``, ``mean_per_class``, ``ce`` and ``ece`` over all images of all ranks.

    - ``top1``: (1/N) Σ_n [argmax_c z_nc = y_n];
    - ``mean_per_class``: its mean over the classes that have images;
    - ``ce``: −(1/N) Σ_n log softmax(z_n)_{y_n};
    - ``ece``: Σ_b (N_b/N) |accuracy_b − confidence_b| over 15 equal bins of the largest probability
      (Guo et al. 2017, arXiv 1706.04599).

    Args:
        num_classes: C.
    """

    hit_C: Tensor
    count_C: Tensor
    sum_ce: Tensor

    def __init__(self, num_classes: int, **options: Any) -> None:
        super().__init__(**options)
        self.num_classes = num_classes
        self.add_state("hit_C", torch.zeros(num_classes), dist_reduce_fx="sum")
        self.add_state("count_C", torch.zeros(num_classes), dist_reduce_fx="sum")
        self.add_state("sum_ce", torch.zeros(()), dist_reduce_fx="sum")
        self.calibration = MulticlassCalibrationError(num_classes, n_bins=15, validate_args=False)

    def update(self, logits_BC: Tensor, label_B: Tensor) -> None:
        """Add B images: logits and whole-number labels."""
        logits_BC = logits_BC.float()
        of_class_BC = one_hot(label_B, self.num_classes)
        self.count_C += of_class_BC.sum(0)
        self.hit_C += of_class_BC[logits_BC.argmax(1) == label_B].sum(0)
        self.sum_ce += cross_entropy(logits_BC, label_B, reduction="sum")
        self.calibration.update(logits_BC.softmax(1), label_B)

    def compute(self) -> dict[str, Tensor]:
        """The four scores."""
        present = self.count_C > 0
        return {
            "top1": self.hit_C.sum() / self.count_C.sum(),
            "mean_per_class": (self.hit_C[present] / self.count_C[present]).mean(),
            "ce": self.sum_ce / self.count_C.sum(),
            "ece": self.calibration.compute(),
        }

    def reset(self) -> None:
        """Begin again."""
        super().reset()
        self.calibration.reset()
