"""A linear probe behind BatchNorm.

B: batch, N: images, F: features, P = F + 1, L: classes, G: grid points
"""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ctc_lightning.checks import count, in_range
from ctc_lightning.evaluation.classification_metrics import score
from ctc_lightning.evaluation.heads import new_head
from ctc_lightning.evaluation.protocol import ClassifierProtocol, Predicted, Task


class BatchNormProbe(ClassifierProtocol):
    """Min over W, b of the loss of W BN(h) + b, BN without affine parameters, by SGD with momentum.

    The loss is the cross-entropy; of several labels the mean binary cross-entropy over those that are judged.
    BN(h) = (h − μ)/√(σ² + 1e-5) with the batch's μ and σ² while learning, with their running means (rate 0.1)
    while predicting. Every pair of learning rate and weight decay (which holds for b too) starts from the
    same `new_head` and meets the same batches, in a new random order in each epoch, a last incomplete one
    left out; ``train`` smaller than a batch is one batch. All pairs learn at once, as they share BN(h). The
    pair of the best validation score by the target's metric, the first of equally good ones, learns ``train``
    and ``val`` together from the start, and test is predicted once. A pair that diverges is out.

    Source: transfer_broad@8b6d6fc scripts/run_linear_bn.sh:115-152,201-214 (rates, decays, milestones, 50
    epochs at the end), system/system_abstract.py:275-283 (head). Unlike there, features are computed once,
    without augmentation; batches of 32 are not tried; the pairs learn for as long as the head that is tested;
    and no epoch is chosen on test.

    Args:
        learning_rates: each > 0.
        weight_decays: each >= 0.
        momentum: in [0, 1).
        batch_size: B >= 2.
        epochs: >= 1.
        milestones: shares of ``epochs``, each in (0, 1), at which the learning rate is multiplied by
            ``decay``.
        decay: in (0, 1].

    Raises:
        ValueError: a value outside its range; in use, less than 2 training images, or every pair diverges.
    """

    version = 1

    def __init__(
        self,
        *,
        learning_rates: Sequence[float],
        weight_decays: Sequence[float],
        momentum: float,
        batch_size: int,
        epochs: int,
        milestones: Sequence[float],
        decay: float,
    ) -> None:
        in_range("BatchNorm probe", "(0, inf)", learning_rates=list(learning_rates))
        in_range("BatchNorm probe", "[0, inf)", weight_decays=list(weight_decays))
        in_range("BatchNorm probe", "[0, 1)", momentum=momentum)
        count("BatchNorm probe", least=2, batch_size=batch_size)  # for a variance
        count("BatchNorm probe", epochs=epochs)
        if milestones:
            in_range("BatchNorm probe", "(0, 1)", milestones=list(milestones))
        in_range("BatchNorm probe", "(0, 1]", decay=decay)
        self.learning_rates = list(learning_rates)
        self.weight_decays = list(weight_decays)
        self.momentum = momentum
        self.batch_size = batch_size
        self.epochs = epochs
        self.milestones = list(milestones)
        self.decay = decay

    @torch.no_grad()
    def predict(self, task: Task) -> Predicted:
        """Choose on ``val``, learn ``train`` and ``val``, predict ``test``."""
        train_NF, val_NF = task.features["train"], task.features["val"]
        if len(train_NF) < 2:
            raise ValueError(
                f"BatchNorm probe: {task.target} has {len(train_NF)} training images, a variance needs at "
                "least 2; choose another target."
            )
        grid = list(product(self.learning_rates, self.weight_decays))
        candidates_GNL = self._fit(task, train_NF, task.label["train"], grid)(val_NF)
        best, best_score = None, -1.0
        for number, logits_NL in enumerate(candidates_GNL):
            if logits_NL.isfinite().all():
                found = score(logits_NL, task.label["val"], task.metric)
                if best is None or found > best_score:
                    best, best_score = number, found
        if best is None:
            raise self._diverged(task)
        both_NF, label = torch.cat([train_NF, val_NF]), torch.cat([task.label["train"], task.label["val"]])
        (test_NL,) = self._fit(task, both_NF, label, [grid[best]])(task.features["test"])
        if not test_NL.isfinite().all():
            raise self._diverged(task)
        rate, decay = grid[best]
        return Predicted(test_NL, candidates_GNL[best], f"lr={rate:g}, wd={decay:g}")

    def _diverged(self, task: Task) -> ValueError:
        return ValueError(
            f"BatchNorm probe: diverged on {task.target} with learning_rates {self.learning_rates}; give "
            "lower ones."
        )

    def _fit(self, task: Task, h_NF: Tensor, label: Tensor, grid: Sequence[tuple[float, float]]) -> "_Heads":
        label = label.to(h_NF.device)
        norm = nn.BatchNorm1d(h_NF.shape[1], affine=False).to(h_NF.device)
        head = new_head(h_NF.shape[1], task.num_classes, task.seed)
        start_LP = torch.cat([head.weight, head.bias[:, None]], 1).to(h_NF.device)
        weight_GLP = start_LP.expand(len(grid), -1, -1).clone()
        velocity_GLP = torch.zeros_like(weight_GLP)
        rate_G11, decay_G11 = h_NF.new_tensor(grid).T[:, :, None, None]
        size = min(self.batch_size, len(h_NF))
        order = torch.Generator().manual_seed(task.seed)
        for epoch in range(self.epochs):
            passed = sum(epoch >= int(share * self.epochs) for share in self.milestones)
            shuffled_N = torch.randperm(len(h_NF), generator=order).to(h_NF.device)
            for index_B in shuffled_N[: len(h_NF) // size * size].split(size):
                z_BP = _with_one(norm(h_NF[index_B]))
                slope_GBL = _slope(z_BP @ weight_GLP.mT, label[index_B])
                gradient_GLP = slope_GBL.mT @ z_BP + decay_G11 * weight_GLP
                velocity_GLP.mul_(self.momentum).add_(gradient_GLP)
                weight_GLP.sub_(rate_G11 * self.decay**passed * velocity_GLP)
        return _Heads(norm.eval(), weight_GLP)


class _Heads(NamedTuple):
    """BN, in eval mode, and (G, L, F + 1) weights, the bias last."""

    norm: nn.BatchNorm1d
    weight_GLP: Tensor

    def __call__(self, h_NF: Tensor) -> Tensor:
        """(N, F) to (G, N, L) logits."""
        return _with_one(self.norm(h_NF)) @ self.weight_GLP.mT


def _with_one(z_BF: Tensor) -> Tensor:
    return pad(z_BF, (0, 1), value=1.0)


def _slope(logits_GBL: Tensor, label: Tensor) -> Tensor:
    """The gradient of each head's mean loss (see `label_loss`) with respect to its logits."""
    if label.ndim == 1:
        slope_GBL = logits_GBL.softmax(2)
        slope_GBL[:, torch.arange(len(label), device=label.device), label] -= 1
        return slope_GBL / len(label)
    judged_BL = label >= 0
    return (logits_GBL.sigmoid() - (label == 1).float()) * judged_BL / judged_BL.sum().clamp(min=1)
