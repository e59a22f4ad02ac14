"""InfoNCE: which y belongs to an x. N: pairs, B: a batch of them, K: draws of y from the marginal."""

from math import log

import torch
from torch import Tensor

from ctc_lightning.information.estimators.neural import NeuralEstimator
from ctc_lightning.information.estimators.scores import Scores


class InfoNCE(NeuralEstimator):
    """I(x; y) ≥ E [ log ( e^T(x, y) / (1/(K + 1)) (e^T(x, y) + Σ_k e^T(x, y_k)) ) ] ≤ log (K + 1).

    An estimate is of all N pairs at once, K + 1 = N, so that its ceiling log N is as high as the pairs allow;
    learning from batches of B < N does not lower it. Close to the ceiling, I(x; y) may be anything above. A
    lower bound in expectation for every N and T, of low variance.

    Source: van den Oord et al. 2018, arXiv 1807.03748.

    The constructor's arguments are those of `NeuralEstimator`.
    """

    version = 1

    def bound(self, scores: Scores) -> Tensor:
        """The mean of log p(the pair's own y among K + 1), plus log (K + 1)."""
        log_others_N = scores.log_marginal_N + log(scores.num_marginal)
        log_own_N = scores.joint_N - scores.joint_N.logaddexp(log_others_N)
        return log_own_N.mean() + log(scores.num_marginal + 1)

    def loss(self, joint_B: Tensor, marginal_BK: Tensor) -> Tensor:
        """Minus the bound of a batch, whose ceiling log B does not matter to the gradient."""
        all_BK = torch.cat([joint_B[:, None], marginal_BK], dim=1)
        return (all_BK.logsumexp(1) - joint_B).mean() - log(all_BK.shape[1])

    def ceiling(self, num_marginal: int) -> float:
        """The value where each x finds its own y for certain."""
        return log(num_marginal + 1)
