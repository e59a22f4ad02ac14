"""SMILE: Donsker-Varadhan with clipped density ratios. B: pairs, K: draws of y from the marginal."""

from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from ctc_lightning.checks import in_range
from ctc_lightning.information.estimators.neural import NeuralEstimator
from ctc_lightning.information.estimators.scores import Scores, log_mean_exp


class SMILE(NeuralEstimator):
    """I(x; y) ≈ E_joint[T] − log E_marginals[clip(e^T, e^−τ, e^τ)].

    Clipping bounds the variance, e^2τ/N instead of e^I/N, at the price of a bias: where T is above τ on draws
    from the marginals the number is no bound from either side. T is learnt as a classifier of joint against
    independent pairs, E_joint[softplus(−T)] + E_marginals[softplus(T)] → min (the Jensen-Shannon divergence),
    whose best T is log p(x, y)/(p(x) p(y)), and this loss chooses the step.

    Source: Song and Ermon 2020, arXiv 1910.06222 (the estimate);
    ermongroup/smile-mi-estimator@de462a2 estimators.py:118-132 (what is learnt).

    Args:
        clip: τ > 0.
        settings: see `NeuralEstimator`.

    Raises:
        ValueError: ``clip`` of 0 or less.
    """

    version = 1
    is_lower_bound: ClassVar[bool] = False

    def __init__(self, *, clip: float, **settings: Any) -> None:
        super().__init__(**settings)
        in_range("SMILE", "(0, inf)", clip=clip)
        self.clip = clip

    def bound(self, scores: Scores) -> Tensor:
        """E_joint[T] − log E_marginals[e^T], T of the latter clipped."""
        return scores.joint_N.mean() - log_mean_exp(scores.log_marginal_N)

    def loss(self, joint_B: Tensor, marginal_BK: Tensor) -> Tensor:
        """Of a classifier of joint against independent pairs."""
        return softplus(-joint_B).mean() + softplus(marginal_BK).mean()

    def clipped(self, score: Tensor) -> Tensor:
        """T within ±τ."""
        return score.clamp(-self.clip, self.clip)
