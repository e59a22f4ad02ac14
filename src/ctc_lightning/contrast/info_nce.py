"""The softmax contrast, over any number of negatives.

B: queries, K: negatives, C: keys of one block, D: projection
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy, softplus

from ctc_lightning.checks import in_range
from ctc_lightning.contrast.protocol import Contrast
from ctc_lightning.memory.protocol import Keys, at_least_float32

CPU_BLOCK_MIB, GPU_BLOCK_MIB = 1, 256
LEAST = -1e30  # for −inf, where all logits of a block are: their softmax would be NaN


class InfoNCE(Contrast):
    """−log [ exp(q·k⁺/τ) / ( exp(q·k⁺/τ) + Σ_j exp(q·k⁻_j/τ) ) ], mean over the batch.

    Without any negative the loss is 0. Source: van den Oord et al. 2018, arXiv 1807.03748.

    The negatives are summed block by block; ``one_way`` then sees one negative with the logit
    log Σ_j exp(q·k⁻_j/τ), which gives the same loss. Only where each query has rows of its own, or where rows
    need a gradient, do all logits exist at once.

    Args:
        temperature: τ > 0.
        block_mib: > 0, MiB of logits in a block, beside which its softmax exists. None: 1 on a CPU, whose
            cache both then stay in (0.5 to 4 are about equally fast), and 256 on a GPU, which large products
            keep busy; there it has not been measured.

    Raises:
        ValueError: τ <= 0 or ``block_mib`` <= 0.
    """

    def __init__(self, temperature: float, *, block_mib: float | None = None) -> None:
        super().__init__(temperature)
        if block_mib is not None:
            in_range("InfoNCE", "(0, inf)", example=1, block_mib=block_mib)
        self.block_mib = block_mib

    def logits(self, query_BD: Tensor, keys: Keys) -> tuple[Tensor, Tensor]:
        """q·k⁺/τ (B,) and (B, 1) the logarithm of the summed exponentials of q·k⁻/τ, or these (B, K)."""
        if keys.column_BK is not None or keys.row_RD.requires_grad or len(keys.row_RD) == 0:
            return super().logits(query_BD, keys)
        mib = self.block_mib or (CPU_BLOCK_MIB if query_BD.device.type == "cpu" else GPU_BLOCK_MIB)
        positive_B, log_sum_B = LogSumExp.apply(
            query_BD, keys.positive_BD, keys, self.temperature, int(mib * 2**20)
        )
        return positive_B, log_sum_B[:, None]

    def one_way(self, positive_B: Tensor, negative_BK: Tensor, num_stored: int, direction: int) -> Tensor:
        """Cross-entropy of picking k⁺ among 1 + K keys."""
        if negative_BK.shape[1] == 1:
            return softplus(negative_BK.squeeze(1) - positive_B, threshold=40).mean()
        logits_BK = torch.cat([positive_B[:, None], negative_BK], dim=1)
        return cross_entropy(logits_BK, torch.zeros_like(positive_B, dtype=torch.int64))


class LogSumExp(Function):
    """q·k⁺/τ and log Σ_j exp(q·k⁻_j/τ), with the latter's gradient Σ_j p_j k⁻_j/τ, in one pass over the keys.

    p = softmax_j(q·k⁻_j/τ). Blocks are joined as in Milakov and Gimelshein 2018, arXiv 1805.02867, and for
    the weighted mean in Dao et al. 2022, arXiv 2205.14135. Saved for the backward pass are tensors of (B, D)
    only, so the rows may change after the forward one. The negatives get no gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, query_BD: Tensor, positive_BD: Tensor, keys: Keys, temperature: float, most_bytes: int
    ) -> tuple[Tensor, Tensor]:
        """Both (B,), in at least float32; `LEAST` for a query that may meet no key."""
        query_BD = query_BD.to(at_least_float32(query_BD)) / temperature
        positive_BD = positive_BD.to(query_BD.dtype)
        with torch.autocast(query_BD.device.type, enabled=False):
            first, *others = blocks(query_BD, keys.row_RD, most_bytes)
            log_sum_B, mean_BD = softmax_over(query_BD, keys, first)
            for columns in others:
                log_sum_of_block_B, mean_of_block_BD = softmax_over(query_BD, keys, columns)
                share_B = (log_sum_of_block_B - log_sum_B).sigmoid_()
                mean_BD.lerp_(mean_of_block_BD, share_B[:, None])
                log_sum_B = log_sum_B.logaddexp(log_sum_of_block_B)
        ctx.save_for_backward(query_BD, positive_BD, mean_BD)
        ctx.temperature = temperature
        return (query_BD * positive_BD).sum(1), log_sum_B

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_positive_B: Tensor, of_log_sum_B: Tensor) -> tuple[Tensor | None, ...]:
        """∂/∂q: k⁺ and the negatives' mean under p; ∂/∂k⁺: q."""
        query_BD, positive_BD, mean_BD = ctx.saved_tensors
        of_query_BD = (of_log_sum_B[:, None] * mean_BD).addcmul_(of_positive_B[:, None], positive_BD)
        of_key_BD = of_positive_B[:, None] * query_BD if ctx.needs_input_grad[1] else None
        return of_query_BD.div_(ctx.temperature), of_key_BD, None, None, None


def softmax_over(query_BD: Tensor, keys: Keys, columns: slice) -> tuple[Tensor, Tensor]:
    """Of the rows ``columns``: log Σ_j exp(q·k⁻_j) (B,), and their mean (B, D) under softmax_j(q·k⁻_j)."""
    logit_BC, row_CD = keys.block(query_BD, columns)
    logit_BC[:, 0].clamp_(min=LEAST)
    highest_B = logit_BC.amax(1)
    p_BC = logit_BC.softmax(
        1
    )  # fused in torch, and faster than exp alone; its largest is 1/Σ exp(q·k⁻_j − highest)
    return highest_B - p_BC.amax(1).log_(), p_BC @ row_CD


def blocks(query_BD: Tensor, row_RD: Tensor, most_bytes: int) -> list[slice]:
    """Stretches of rows of which logits, and copies in the queries' dtype, fit into ``most_bytes``."""
    B, D = query_BD.shape
    copied = D if row_RD.dtype != query_BD.dtype else 0
    length = max(1, most_bytes // (query_BD.itemsize * (B + copied)))
    return [slice(begin, begin + length) for begin in range(0, len(row_RD), length)]
