"""MINE, the Donsker-Varadhan bound. B: pairs, K: draws of y from the marginal."""

from math import log
from typing import Any, ClassVar

import torch
from torch import Tensor

from ctc_lightning.checks import in_range
from ctc_lightning.information.estimators.critic import Critic
from ctc_lightning.information.estimators.neural import Draw, Loss, NeuralEstimator
from ctc_lightning.information.estimators.scores import Scores, log_mean_exp


class MINE(NeuralEstimator):
    """I(x; y) ≥ E_joint[T] − log E_marginals[e^T], with ∇ ≈ E_joint[∇T] − E_marginals[e^T ∇T] / m.

    m is the moving average of E_marginals[e^T] over the steps, m ← (1 − r) m + r · (this batch's), from
    m = 1; dividing by the batch's own mean instead would be biased.

    On a sample it is no lower bound: by Jensen's inequality the log of a mean of finitely many draws is on
    average below the log of E[e^T]. The estimate is too high by that, by much when I(x; y) is above
    log N(N − 1): then the draws hardly ever meet the pairs that make up E[e^T].

    Source: Belghazi et al. 2018, arXiv 1801.04062 (bound, corrected gradient); dt-tradeoff@a36516b
    mine.py:32-72, which draws batches without replacement too, but reports the mean of its last 500 training
    batches' bounds and skips a batch whose loss is NaN: here an estimate is of given pairs, and a fit that
    diverges is an error.

    Args:
        average_rate: r in (0, 1]; 1: the batch's own mean, no correction.
        independent_marginal: whether a step draws B pairs for E_joint and B x and B y, each on their own, for
            E_marginals, as the reference does; else E_marginals is over the pairs of one batch.
        settings: see `NeuralEstimator`.

    Raises:
        ValueError: ``average_rate`` outside its range.
    """

    version = 1
    is_lower_bound: ClassVar[bool] = False

    def __init__(self, *, average_rate: float, independent_marginal: bool, **settings: Any) -> None:
        super().__init__(**settings)
        in_range("MINE", "(0, 1]", average_rate=average_rate)
        self.average_rate = average_rate
        self.independent_marginal = independent_marginal

    def bound(self, scores: Scores) -> Tensor:
        """E_joint[T] − log E_marginals[e^T]."""
        return scores.joint_N.mean() - log_mean_exp(scores.log_marginal_N)

    def loss(self, joint_B: Tensor, marginal_BK: Tensor) -> Tensor:
        """Minus the bound of a batch."""
        return log_mean_exp(marginal_BK) - joint_B.mean()

    def training_loss(self) -> Loss:
        """The same number as ``loss``, with the corrected gradient."""
        return MovingAverageLoss(self.average_rate)

    def batch_scores(self, critic: Critic, draw: Draw) -> tuple[Tensor, Tensor]:
        """See `NeuralEstimator.batch_scores`."""
        if not self.independent_marginal:
            return super().batch_scores(critic, draw)
        joint_B = critic.paired(*draw(self.batch_size))
        return joint_B, critic.paired(*draw(self.batch_size, independent=True))[:, None]


class MovingAverageLoss:
    """log E_marginals[e^T] − E_joint[T], with the gradient of E_marginals[e^T] / m − E_joint[T]."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.log_average: Tensor | None = None  # log m; the logarithm cannot overflow

    def __call__(self, joint_B: Tensor, marginal_BK: Tensor) -> Tensor:
        """Move m to this batch, then take the loss."""
        log_mean = log_mean_exp(marginal_BK)
        now = log_mean.detach()
        before = torch.zeros_like(now) if self.log_average is None else self.log_average
        kept = before + log(1 - self.rate) if self.rate < 1 else torch.full_like(now, -torch.inf)
        self.log_average = kept.logaddexp(now + log(self.rate))
        corrected = (now - self.log_average).exp() * log_mean
        return corrected - corrected.detach() + now - joint_B.mean()
