"""The reference's second-stage contrast in own words, to be timed against: one row copied for every pair.

B: queries, K: negatives, N: images, D: projection
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

EPSILON = 1e-7


class CopiedRows:
    """Σ over (bank, anchor) of InfoNCE, or of the reference's NCE with Z from the first batch.

    Args:
        pairs: (N, D) bank and (B, D) anchor, one pair, or as in the reference two.
        index_B: the anchors' images.
        label_N: every image's label.
        num_negatives: K.
        temperature: τ > 0.
        softmax: InfoNCE rather than NCE.

    Source: dt-tradeoff@a36516b ctc/memory.py:26-60, ctc/criterion.py:40-65, dataset/cifar100.py:182-189.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Tensor, Tensor]],
        index_B: Tensor,
        label_N: Tensor,
        num_negatives: int,
        temperature: float,
        *,
        softmax: bool,
    ) -> None:
        self.pairs, self.index_B, self.label_B = pairs, index_B, label_N[index_B].tolist()
        self.other_classes = {c: np.flatnonzero(label_N.numpy() != c) for c in set(self.label_B)}
        self.num_negatives, self.num_images = num_negatives, len(label_N)
        self.temperature, self.softmax = temperature, softmax
        self.normaliser: dict[int, Tensor] = {}
        self.draw()

    def draw(self) -> None:
        """Choose (B, K) images for the next `step`, without replacement: one draw for each query."""
        choose = np.random.choice  # the reference's: its cost is part of the comparison
        drawn = [choose(self.other_classes[c], self.num_negatives, replace=False) for c in self.label_B]
        self.image_BK = torch.from_numpy(np.stack(drawn))

    def step(self) -> None:
        """Forward and backward."""
        self.loss(self.image_BK).backward()

    def loss(self, image_BK: Tensor) -> Tensor:
        """The loss with these negatives, summed over the pairs."""
        image_BK = torch.cat([self.index_B[:, None], image_BK], dim=1)  # the positive first
        return torch.stack([self.one_way(way, image_BK) for way in range(len(self.pairs))]).sum()

    def one_way(self, way: int, image_BK: Tensor) -> Tensor:
        """The loss of one pair."""
        row_ND, anchor_BD = self.pairs[way]
        row_BKD = row_ND.index_select(0, image_BK.flatten()).view(*image_BK.shape, -1)
        logit_BK = torch.bmm(row_BKD, anchor_BD[:, :, None])[:, :, 0] / self.temperature
        if self.softmax:
            return cross_entropy(logit_BK, torch.zeros_like(self.index_B))
        score_BK = logit_BK.exp()
        score_BK = score_BK / self.normaliser.setdefault(way, score_BK.detach().mean() * self.num_images)
        noise = self.num_negatives / self.num_images
        positive_B, negative_BK = score_BK[:, 0], score_BK[:, 1:]
        log_positive = (positive_B / (positive_B + noise + EPSILON)).log().sum()
        log_negative = (noise / (negative_BK + noise + EPSILON)).log().sum()
        return -(log_positive + log_negative) / len(image_BK)
