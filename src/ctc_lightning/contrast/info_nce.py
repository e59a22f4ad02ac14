"""The softmax contrast. B: queries, K: negatives."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ctc_lightning.contrast.protocol import Contrast


class InfoNCE(Contrast):
    """−log [ exp(q·k⁺/τ) / ( exp(q·k⁺/τ) + Σ_j exp(q·k⁻_j/τ) ) ], mean over the batch.

    Without any negative the loss is 0. Source: van den Oord et al. 2018, arXiv 1807.03748.
    """

    def one_way(self, positive_B: Tensor, negative_BK: Tensor, num_stored: int, direction: int) -> Tensor:
        """Cross-entropy of picking k⁺ among 1 + K keys."""
        logits_BK = torch.cat([positive_B[:, None], negative_BK], dim=1)
        return cross_entropy(logits_BK, torch.zeros_like(positive_B, dtype=torch.int64))
