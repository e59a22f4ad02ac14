"""What a critic says of pairs and of draws from the product of their marginals.

N: pairs, B: a batch of them, R: some of their rows, K: draws of y from its marginal for each x,
C: dimensions of x, E: dimensions of y
"""

from collections.abc import Callable
from math import inf, log
from typing import NamedTuple

import torch
from torch import Tensor

from ctc_lightning.information.estimators.critic import Critic

_CELLS = 2**22  # scores at a time: 16 MB


class Scores(NamedTuple):
    """A critic's answers on N pairs and on N·K draws from the product of their marginals.

    Attributes:
        joint_N: (N,) float64 T(x_n, y_n).
        log_marginal_N: (N,) float64 log (1/K) Σ_k exp T(x_n, y_k), none of the y_k being y_n.
        num_marginal: K.
    """

    joint_N: Tensor
    log_marginal_N: Tensor
    num_marginal: int


def off_diagonal(score_BB: Tensor) -> Tensor:
    """(B, B) to (B, B − 1): each row without the diagonal's column."""
    num = len(score_BB)
    return score_BB.flatten()[1:].view(num - 1, num + 1)[:, :-1].reshape(num, num - 1)


def score_pairs(
    critic: Critic, x_NC: Tensor, y_NE: Tensor, clipped: Callable[[Tensor], Tensor], max_marginal: int | None
) -> Scores:
    """All the scores that an estimate needs.

    Args:
        critic: T.
        x_NC: (N, C), N >= 2.
        y_NE: (N, E).
        clipped: what is done to T of draws from the marginals.
        max_marginal: see `NeuralEstimator`.
    """
    num_pairs = len(x_NC)
    joint_N = critic.paired(x_NC, y_NE).double()
    num_marginal = num_pairs - 1
    if max_marginal is not None:
        num_marginal = min(num_marginal, max(1, max_marginal // num_pairs))
    if num_marginal == num_pairs - 1:
        parts = []
        for row_R in torch.arange(num_pairs, device=x_NC.device).split(max(1, _CELLS // num_pairs)):
            score_RN = clipped(critic.crossed(x_NC[row_R], y_NE)).scatter(1, row_R[:, None], -inf)
            parts.append(score_RN.logsumexp(1))
        log_sum_N = torch.cat(parts)
    else:
        distances = torch.linspace(1, num_pairs - 1, num_marginal).long().tolist()
        log_sum_N = torch.full_like(x_NC[:, 0], -inf)
        for distance in distances:
            log_sum_N = log_sum_N.logaddexp(clipped(critic.paired(x_NC, y_NE.roll(distance, 0))))
    return Scores(joint_N, log_sum_N.double() - log(num_marginal), num_marginal)


def log_mean_exp(score: Tensor) -> Tensor:
    """Logarithm of the mean of e^T over all entries."""
    return score.flatten().logsumexp(0) - log(score.numel())
