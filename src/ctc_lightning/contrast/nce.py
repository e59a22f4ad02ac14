"""The reference's binary contrast with a constant normaliser.

B: queries, K: negatives, N: stored keys, W: ranks
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from ctc_lightning.contrast.protocol import Contrast
from ctc_lightning.distributed import gather

EPSILON = 1e-7


class NCE(Contrast):
    """−(1/B) Σ_b [ log(s⁺/(s⁺ + c + ε)) + Σ_j log(c/(s_j + c + ε)) ], s = exp(q·k/τ)/Z, c = K/N, ε = 1e-7.

    Z = N × (mean of exp(q·k/τ) over positives and negatives of the first batch), then constant; each
    direction has its own. It is *binary* noise-contrastive estimation, not InfoNCE. Computed in log space,
    so that a small τ does not overflow.

    Source: dt-tradeoff@a36516b ctc/criterion.py:40-65 and ctc/memory.py:51-60. Under several processes the
    first batch's mean is taken over all of them (the reference runs on one). With
    ``trainer.accumulate_grad_batches`` it is the first micro-batch's.
    """

    log_normaliser: Tensor

    def __init__(self, temperature: float) -> None:
        super().__init__(temperature)
        self.register_buffer("log_normaliser", torch.full((2,), -torch.inf))
        self._is_set = [False, False]
        self.register_load_state_dict_post_hook(_note_what_is_set)

    def one_way(self, positive_B: Tensor, negative_BK: Tensor, num_stored: int, direction: int) -> Tensor:
        """Binary cross-entropy of telling k⁺ from K noise keys."""
        is_negative_BK = negative_BK.detach() > -torch.inf
        num_negatives_B = is_negative_BK.sum(1)
        if not self._is_set[direction]:
            log_sum = torch.cat([positive_B[:, None], negative_BK], dim=1).logsumexp((0, 1))
            log_sum_W, count_W = gather(
                log_sum[None], num_negatives_B.sum()[None] + len(positive_B), even=True
            )
            log_mean = log_sum_W.logsumexp(0) - count_W.sum().to(log_sum).log()
            self.log_normaliser[direction] = log_mean + math.log(num_stored)
            self._is_set[direction] = True
        log_z = self.log_normaliser[direction].clone()

        log_s_B, log_s_BK = positive_B - log_z, negative_BK - log_z
        c_B = num_negatives_B.to(positive_B.dtype) / num_stored
        # c/(s + c + ε) is close to 1 for each of K negatives: a sigmoid of log-odds does not round them away
        log_positive_B = logsigmoid(log_s_B - (c_B + EPSILON).log())
        log_odds_BK = c_B.log()[:, None] - log_s_BK.logaddexp(torch.full_like(log_z, math.log(EPSILON)))
        log_negative_B = logsigmoid(log_odds_BK).where(is_negative_BK, 0).sum(1)
        return -(log_positive_B + log_negative_B).mean()


def _note_what_is_set(contrast: nn.Module, _: object) -> None:
    """Read once from a checkpoint what is set, so that no training step has to ask the device."""
    assert isinstance(contrast, NCE)
    contrast._is_set = (contrast.log_normaliser > -torch.inf).tolist()
