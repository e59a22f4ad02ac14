"""The softmax contrast, over any number of negatives.

B: queries, K: negatives, C: keys of one block, D: projection
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy

from ctc_lightning.contrast.protocol import Contrast
from ctc_lightning.memory.protocol import Keys, at_least_float32


class InfoNCE(Contrast):
    """−log [ exp(q·k⁺/τ) / ( exp(q·k⁺/τ) + Σ_j exp(q·k⁻_j/τ) ) ], mean over the batch.

    Without any negative the loss is 0. Source: van den Oord et al. 2018, arXiv 1807.03748.

    Args:
        temperature: τ > 0.
        block_mib: > 0, MiB of logits that exist at once. More negatives are summed block by block, and
            ``one_way`` then sees one negative with the logit log Σ_j exp(q·k⁻_j/τ): the same loss.

    Raises:
        ValueError: τ <= 0 or ``block_mib`` <= 0.
    """

    def __init__(self, temperature: float, *, block_mib: float = 32) -> None:
        super().__init__(temperature)
        if not block_mib > 0:
            raise ValueError(f"InfoNCE: block_mib is {block_mib}; it must be above 0, for example 32.")
        self.block_bytes = int(block_mib * 2**20)

    def logits(self, query_BD: Tensor, keys: Keys) -> tuple[Tensor, Tensor]:
        """q·k⁺/τ (B,) and q·k⁻/τ (B, K), or (B, 1) the logarithm of their summed exponentials."""
        num_bytes = len(query_BD) * len(keys.row_RD) * at_least_float32(query_BD).itemsize
        summable = keys.column_BK is None and not keys.row_RD.requires_grad
        if num_bytes <= self.block_bytes or not summable:
            return super().logits(query_BD, keys)
        query_BD = query_BD.to(at_least_float32(query_BD)) / self.temperature
        log_sum_B = LogSumExp.apply(query_BD, keys, self.block_bytes)
        return keys.positive(query_BD), log_sum_B[:, None]

    def one_way(self, positive_B: Tensor, negative_BK: Tensor, num_stored: int, direction: int) -> Tensor:
        """Cross-entropy of picking k⁺ among 1 + K keys."""
        logits_BK = torch.cat([positive_B[:, None], negative_BK], dim=1)
        return cross_entropy(logits_BK, torch.zeros_like(positive_B, dtype=torch.int64))


class LogSumExp(Function):
    """log Σ_j exp(q·k⁻_j) and its gradient Σ_j p_j k⁻_j, p = softmax_j(q·k⁻_j), in one pass over the keys.

    Sums are kept relative to the largest logit so far and shrunk when a block has a larger one, as in
    Milakov and Gimelshein 2018, arXiv 1805.02867, and for the weighted mean in Dao et al. 2022, arXiv
    2205.14135. Saved for the backward pass: one (B, D) tensor, so the rows may change after the forward one.
    The keys get no gradient.
    """

    @staticmethod
    def forward(ctx: Any, query_BD: Tensor, keys: Keys, most_bytes: int) -> Tensor:
        """The sum (B,) in the queries' dtype; −inf for a query that may meet no key."""
        peak_B = query_BD.new_full(query_BD.shape[:1], -torch.inf)
        sum_B, sum_BD = torch.zeros_like(peak_B), torch.zeros_like(query_BD)
        with_gradient = ctx.needs_input_grad[0]
        for columns in blocks(query_BD, keys.row_RD, most_bytes):
            weight_BC, row_CD = keys.block(query_BD, columns)  # logits, turned into weights in place
            highest_B = peak_B.maximum(weight_BC.amax(1))
            reference_B = highest_B.where(highest_B > -torch.inf, 0)  # exp(−inf − 0) = 0, not NaN
            weight_BC.sub_(reference_B[:, None]).exp_()
            shrink_B = (peak_B - reference_B).exp_()
            sum_B.mul_(shrink_B).add_(weight_BC.sum(1))
            if with_gradient:
                sum_BD.mul_(shrink_B[:, None]).addmm_(weight_BC, row_CD)
            peak_B = highest_B
        ctx.save_for_backward(sum_BD / sum_B.where(sum_B > 0, 1)[:, None])
        return peak_B.where(peak_B > -torch.inf, 0) + sum_B.log()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_B: Tensor) -> tuple[Tensor, None, None]:
        """∂/∂q: the keys' mean under p."""
        (mean_BD,) = ctx.saved_tensors
        return gradient_B[:, None] * mean_BD, None, None


def blocks(query_BD: Tensor, row_RD: Tensor, most_bytes: int) -> list[slice]:
    """Stretches of rows of which logits, and copies in the queries' dtype, fit into ``most_bytes``."""
    B, D = query_BD.shape
    copied = D if row_RD.dtype != query_BD.dtype else 0
    length = max(1, most_bytes // (query_BD.itemsize * (B + copied)))
    return [slice(begin, begin + length) for begin in range(0, len(row_RD), length)]
